use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};

use super::{AgentError, MAX_MESSAGE, open, string};
use crate::trust::keys::{KeyError, SecretKey, Signer as _};

/// An agent that gives these answers, one for each connection, whatever it is asked.
struct Agent {
    socket: PathBuf,
    questions: JoinHandle<Vec<Vec<u8>>>,
    _folder: tempfile::TempDir,
}

fn agent(answers: Vec<Vec<u8>>) -> Agent {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("agent");
    let listener = UnixListener::bind(&socket).unwrap();
    let questions = thread::spawn(move || {
        let mut questions = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 4];
            stream.read_exact(&mut head).unwrap();
            let mut question = vec![0; u32::from_be_bytes(head) as usize];
            stream.read_exact(&mut question).unwrap();
            stream.write_all(&answer).unwrap();
            questions.push(question);
        }
        questions
    });
    Agent {
        socket,
        questions,
        _folder: folder,
    }
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    string(&[&[kind], body].concat())
}

fn blob(algorithm: &str, bytes: &[u8]) -> Vec<u8> {
    string(&[string(algorithm.as_bytes()), string(bytes)].concat())
}

fn identities(keys: &[(Vec<u8>, &str)]) -> Vec<u8> {
    let count = u32::try_from(keys.len()).unwrap().to_be_bytes().to_vec();
    let keys = keys
        .iter()
        .flat_map(|(blob, comment)| [blob.clone(), string(comment.as_bytes())]);
    let body: Vec<Vec<u8>> = [count].into_iter().chain(keys).collect();
    message(12, &body.concat())
}

fn secret() -> SecretKey {
    SecretKey::from_seed("acme-ci", &[7; 32]).unwrap()
}

fn our_key() -> Vec<u8> {
    blob("ssh-ed25519", secret().verifier().public())
}

fn listed() -> Vec<u8> {
    identities(&[
        (blob("ssh-rsa", b"rsa"), "acme-ci"),
        (blob("sk-ssh-ed25519@openssh.com", &[7; 32]), "acme-ci"),
        (our_key(), "acme-ci"),
        (blob("ssh-ed25519", &[9; 32]), "two words"),
    ])
}

#[test]
fn signs_with_the_key_of_that_comment_or_that_public_key() {
    let secret = secret();
    let signature = secret.sign(b"hello").unwrap();
    for reference in ["acme-ci".to_owned(), secret.verifier().to_string()] {
        let answer = message(14, &blob("ssh-ed25519", &signature));
        let agent = agent(vec![listed(), answer]);
        let key = open(&agent.socket, &reference).unwrap();
        assert_eq!(key.verifier(), secret.verifier());
        assert_eq!(key.sign(b"hello").unwrap(), signature);
        let asked = [&[13][..], &our_key(), &string(b"hello"), &[0; 4]].concat();
        assert_eq!(agent.questions.join().unwrap(), [vec![11], asked]);
    }
}

#[test]
fn a_signature_that_is_not_the_keys_is_not_let_out() {
    for signature in [
        [0; 64],
        SecretKey::from_seed("x", &[8; 32])
            .unwrap()
            .sign(b"hello")
            .unwrap(),
    ] {
        let agent = agent(vec![
            listed(),
            message(14, &blob("ssh-ed25519", &signature)),
        ]);
        let signed = open(&agent.socket, "acme-ci").unwrap().sign(b"hello");
        assert!(matches!(signed, Err(KeyError::Signature)), "{signed:?}");
    }
}

#[test]
fn what_is_not_the_protocol_is_refused() {
    type Expected = fn(&AgentError) -> bool;
    let protocol: Expected = |error| matches!(error, AgentError::Protocol);
    let cut_off: Expected = |error| matches!(error, AgentError::Socket(..));
    let refused: Expected = |error| matches!(error, AgentError::Refused);
    let too_long = u32::try_from(MAX_MESSAGE + 1)
        .unwrap()
        .to_be_bytes()
        .to_vec();
    for (answer, expected) in [
        (vec![], cut_off),
        (vec![0, 0, 0, 9, 12], cut_off),
        (message(5, b""), refused),
        (string(b""), protocol),
        (too_long, protocol),
        (message(12, b""), protocol),
        (message(12, &[0, 0, 0, 1]), protocol),
        (message(12, &[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]), protocol),
        (message(12, &[0, 0, 0, 0, 0]), protocol),
    ] {
        let agent = agent(vec![answer.clone()]);
        let opened = open(&agent.socket, "acme-ci");
        let Err(KeyError::Agent(error)) = opened else {
            panic!("{answer:?}: {opened:?}");
        };
        assert!(expected(&error), "{answer:?}: {error:?}");
    }
}

#[test]
fn a_name_is_one_key() {
    let other = blob("ssh-ed25519", &[9; 32]);
    let twice = identities(&[(our_key(), "acme-ci"), (other.clone(), "acme-ci")]);
    let opened = open(&agent(vec![twice]).socket, "acme-ci");
    assert!(
        matches!(opened, Err(KeyError::Agent(AgentError::Ambiguous(_)))),
        "{opened:?}"
    );
    let elsewhere = identities(&[(other, "acme-ci")]);
    let opened = open(
        &agent(vec![elsewhere]).socket,
        &secret().verifier().to_string(),
    );
    assert!(
        matches!(opened, Err(KeyError::Agent(AgentError::NoKey(_)))),
        "{opened:?}"
    );
    let opened = open(&agent(vec![listed()]).socket, "two words");
    assert!(matches!(opened, Err(KeyError::Name(_))), "{opened:?}");
}

#[test]
fn messages_beyond_an_agents_bound_are_not_sent() {
    let agent = agent(vec![listed()]);
    let key = open(&agent.socket, "acme-ci").unwrap();
    let signed = key.sign(&vec![0; MAX_MESSAGE]);
    assert!(
        matches!(signed, Err(KeyError::Agent(AgentError::TooLong))),
        "{signed:?}"
    );
}
