//! How far an operator sees and writes.

use kube::{
    Api, Client, Resource,
    core::{ApiResource, DynamicObject, DynamicResourceScope, NamespaceResourceScope, PartialObjectMeta},
};

use super::Read;

/// The namespaces in which an operator looks for Platforms. Nothing that it does reaches beyond.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Reach {
    /// All of them.
    #[default]
    Cluster,
    /// One.
    Namespace(String),
}

impl Reach {
    /// The namespace, where it is one.
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Cluster => None,
            Self::Namespace(namespace) => Some(namespace),
        }
    }

    /// The objects of a type.
    pub fn api<K>(&self, client: &Client) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        match self {
            Self::Cluster => Api::all(client.clone()),
            Self::Namespace(namespace) => Api::namespaced(client.clone(), namespace),
        }
    }

    /// The objects of a kind that only the table of kinds knows.
    pub fn objects(&self, client: &Client, resource: &ApiResource) -> Api<Read<DynamicObject>> {
        self.api_with(client, resource)
    }

    /// The same without their content.
    pub fn metadata(
        &self,
        client: &Client,
        resource: &ApiResource,
    ) -> Api<Read<PartialObjectMeta<DynamicObject>>> {
        self.api_with(client, resource)
    }

    fn api_with<K>(&self, client: &Client, resource: &ApiResource) -> Api<K>
    where
        K: Resource<Scope = DynamicResourceScope, DynamicType = ApiResource>,
    {
        match self {
            Self::Cluster => Api::all_with(client.clone(), resource),
            Self::Namespace(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
        }
    }
}
