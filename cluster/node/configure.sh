#!/usr/bin/env bash
# Runs inside the node image while it is built: turns a Debian with kind's files into a kind node.
set -euo pipefail

# The same units that kind's Dockerfile drops: on a node only containerd, the kubelet and what they want shall start.
drop_units() {
  find /lib/systemd/system/sysinit.target.wants/ -name systemd-tmpfiles-setup.service -delete
  rm -f /lib/systemd/system/multi-user.target.wants/* /etc/systemd/system/*.wants/* \
    /lib/systemd/system/local-fs.target.wants/* /lib/systemd/system/basic.target.wants/* \
    /lib/systemd/system/sockets.target.wants/*udev* /lib/systemd/system/sockets.target.wants/*initctl*
  echo 'ReadKMsg=no' >> /etc/systemd/journald.conf
}

# systemd-binfmt would register formats in the kernel, which is the whole machine's.
enable_units() {
  systemctl enable containerd.service kubelet.service undo-mount-hacks.service
  systemctl mask systemd-binfmt.service
}

# A kernel that withholds CAP_SYS_RESOURCE refuses to raise a limit or to lower an OOM score. Left out, the node's
# containerd inherits limits that are high enough for one small cluster. The bound on its tasks stays lifted, which takes
# no capability: systemd's default is 15 % of the container's, some 300, and each pod's shim counts a dozen. At the bound
# nothing can be forked any more, and probes, new pods and kube-proxy's rules fail.
forgo_raised_limits() {
  sed -i -E '/^(Limit|OOMScoreAdjust)/d' /etc/systemd/system/containerd.service
  sed -i 's/restrict_oom_score_adj = false/restrict_oom_score_adj = true/' /etc/containerd/config.toml
  grep -q 'restrict_oom_score_adj = true' /etc/containerd/config.toml
}

# Every container gets the node's product files (a hook of kind's) and no rlimits of its own.
write_base_spec() {
  ctr oci spec |
    jq '.hooks.createContainer += [{path: "/kind/bin/mount-product-files.sh"}] | del(.process.rlimits)' \
      > /etc/containerd/cri-base.json
}

chmod 0755 /kind /kind/bin /kind/bin/* /usr/local/bin/*
mkdir -p /etc/kubernetes/manifests /opt/cni/bin
cp /usr/lib/cni/{bridge,host-local,loopback,portmap} /opt/cni/bin/
drop_units
enable_units
forgo_raised_limits
write_base_spec
