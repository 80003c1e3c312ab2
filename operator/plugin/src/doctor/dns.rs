//! The cluster's own name server, asked over TCP: what a pod would be told (RFC 1035).

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Any number: each question is answered before the next is asked.
const ID: u16 = 0x7472;
/// Flag of a question: the server may ask others.
const RECURSION_DESIRED: u16 = 0x0100;
/// Type A in class IN, and type AAAA.
const TYPES: [u16; 2] = [1, 28];
const CLASS_IN: u16 = 1;
const NO_SUCH_NAME: u16 = 3;

/// Whether the name has an address.
pub(super) async fn resolves(server: &mut (impl AsyncRead + AsyncWrite + Unpin), name: &str) -> Result<bool> {
    for type_ in TYPES {
        let question = question(name, type_)?;
        server.write_u16(u16::try_from(question.len())?).await?;
        server.write_all(&question).await?;
        let mut answer = vec![0; usize::from(server.read_u16().await?)];
        server.read_exact(&mut answer).await?;
        if has_address(&answer)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A message that asks for the addresses of one name.
fn question(name: &str, type_: u16) -> Result<Vec<u8>> {
    let header = [ID, RECURSION_DESIRED, 1, 0, 0, 0];
    let mut message: Vec<u8> = header.into_iter().flat_map(u16::to_be_bytes).collect();
    for label in name.trim_end_matches('.').split('.') {
        ensure!((1..64).contains(&label.len()), "{name} is no name");
        message.push(u8::try_from(label.len())?);
        message.extend_from_slice(label.as_bytes());
    }
    message.push(0);
    message.extend([type_, CLASS_IN].into_iter().flat_map(u16::to_be_bytes));
    Ok(message)
}

/// Whether the answer has any record.
fn has_address(answer: &[u8]) -> Result<bool> {
    let field = |position: usize| -> Result<u16> {
        let bytes = answer
            .get(position..position + 2)
            .context("the answer is cut off")?;
        Ok(u16::from_be_bytes(bytes.try_into()?))
    };
    let code = field(2)? & 0x000f;
    ensure!(
        code == 0 || code == NO_SUCH_NAME,
        "the name server fails with code {code}"
    );
    Ok(code == 0 && field(6)? > 0)
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    #[tokio::test]
    async fn a_name_resolves_where_a_record_comes_back() {
        for (code, records, expected) in [(0, 1, true), (0, 0, false), (3, 0, false)] {
            let (mut client, mut server) = duplex(1024);
            let serve = async move {
                while let Ok(length) = server.read_u16().await {
                    let mut question = vec![0; usize::from(length)];
                    server.read_exact(&mut question).await.unwrap();
                    assert_eq!(&question[12..17], b"\x04demo", "the name in labels");
                    question[3] = code;
                    question[7] = records;
                    server.write_u16(length).await.unwrap();
                    server.write_all(&question).await.unwrap();
                }
            };
            let ask = async {
                let answer = resolves(&mut client, "demo.shop.svc.cluster.local")
                    .await
                    .unwrap();
                drop(client);
                answer
            };
            let ((), answer) = tokio::join!(serve, ask);
            assert_eq!(answer, expected, "code {code}, {records} records");
        }
    }

    #[test]
    fn a_server_that_fails_is_an_error_and_not_a_missing_name() {
        let mut answer = question("demo", 1).unwrap();
        answer[3] = 2;
        assert!(has_address(&answer).unwrap_err().to_string().contains("code 2"));
        assert!(has_address(&answer[..3]).is_err());
    }
}
