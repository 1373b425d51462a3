//! The longer texts of `--help`: examples first, then what cannot be guessed.

pub(super) const IMAGES: &str = "docker://REF, podman://REF, oci:DIR[:TAG], docker-archive:FILE or file://PATH; several are fine";

pub(super) const IMAGE: &str = "docker://REF, podman://REF, oci:DIR[:TAG] or docker-archive:FILE";

pub(super) const OVERVIEW: &str = "\
First steps:
  vcn-hook ledger init /srv/ledger --origin ledger.example/vcn
  vcn-hook enroll /srv/ledger
  vcn-hook notarize docker://hello-world
  vcn-hook verify docker://hello-world

Through a link named 'vcn' the same verbs are vcn's: 'vcn sign docker://hello-world'.
Through a link named 'runc' or 'crun', and as 'vcn-hook runtime', it is the gate;
as 'vcn-hook hook' it is an OCI hook that runc and crun call.

Exit codes: 0 done, and for verify: every image TRUSTED; 1 UNTRUSTED, 2 UNKNOWN,
3 UNSUPPORTED, 4 key revoked; could not decide: 10 no allowlist, 11 stale,
12 rolled back, 13 tampered or a layer differs, 14 configuration, 15 no identity, 16 ledger
unreachable; 64 wrong usage. Any other verb that fails: 1, or one of 10 to 16.";

pub(super) const NOTARIZE: &str = "\
Examples:
  vcn-hook notarize docker://app:1.4
  vcn-hook notarize oci:./build:latest --name docker://app:1.4
  vcn-hook notarize docker://app:1.4 --not-after 90d
  vcn-hook notarize docker://app:1.4 --ledger https://ledger.example --root sha256:0f3c…

The passphrase of a key is asked for on a terminal, and taken from
VCN_NOTARIZATION_PASSWORD otherwise.";

pub(super) const UNTRUST: &str = "\
Covers every digest of the statements that named the image: its configs,
manifests and index, for all platforms.

Examples:
  vcn-hook untrust docker://app:1.4 --reason 'CVE-2026-1234'
  vcn-hook untrust --hash 7d2d42157acdabf4ae46a4815af9037179c871a3b20df628c997af5d452bd7ff";

pub(super) const UNSUPPORT: &str = "\
Covers every digest of the statements that named the image, as untrust does.

Example:
  vcn-hook unsupport docker://app:1.2 --reason 'end of life, use 1.4'";

pub(super) const VERIFY: &str = "\
Examples:
  vcn-hook verify docker://app:1.4
  vcn-hook verify docker://app:1.4 && docker run app:1.4
  vcn-hook verify -o json -s default docker://app:1.4 docker://db:9
  vcn-hook verify --hash 7d2d42157acdabf4ae46a4815af9037179c871a3b20df628c997af5d452bd7ff
  vcn-hook verify --deep web

Judges by the rule that the gate applies, from this machine's allowlist,
without network. -s, -I and --min-level ask for more than the trust root
does, never for less. With several images JSON is an array.";

pub(super) const LIST: &str = "\
Example:
  vcn-hook list --last 20";

pub(super) const INSPECT: &str = "\
Examples:
  vcn-hook inspect docker://app:1.4
  vcn-hook inspect 7d2d42157acdabf4ae46a4815af9037179c871a3b20df628c997af5d452bd7ff";

pub(super) const KEYGEN: &str = "\
Writes NAME (private, mode 0600) and NAME.pub, and prints the public key as a
trust root names it. With neither a terminal nor VCN_NOTARIZATION_PASSWORD the
key is not encrypted.

Example:
  vcn-hook keygen ci";

pub(super) const EXPLAIN: &str = "\
Examples:
  vcn-hook explain 3f1c
  vcn-hook explain web";

pub(super) const WATCH: &str = "\
Examples:
  vcn-hook watch --once
  vcn-hook watch --interval 30

Looks at everything that runs on this node: at its start, after each interval,
after each sync, and when its settings change or it gets SIGHUP. Whom it tells,
and what it pauses or stops, is in [watch] of config.toml.
CHECK_INTERVAL and NODENAME in the environment are vcn-watchdog's. Metrics are at
http://127.0.0.1:9581/metrics, and a page for people at /status/.";

pub(super) const STATUS: &str = "\
Examples:
  vcn-hook status
  vcn-hook status --watch

--watch looks at everything that runs by itself and changes nothing; q ends it.";

pub(super) const REPORT: &str = "\
Each image and reason once, with what to do. A refusal that the ledger has settled
since, because the image was notarized, is told apart.

Examples:
  vcn-hook report --since 7d
  vcn-hook report --running        # before 'mode enforce', which shows the same";

pub(super) const BASELINE: &str = "\
For the images that the ledger has no word about. One that is UNTRUSTED, UNSUPPORTED
or known by revoked keys alone stays as it is, and so does one without a name that
nothing runs. A container whose image cannot be told is shown, and left out.
Exits 1 when an image could not be notarized; the others are.

Examples:
  vcn-hook baseline --dry-run
  vcn-hook baseline --running --yes
  vcn-hook baseline --only 'registry.example/*' --except '*/scratch-*'";

pub(super) const SELF_TEST: &str = "\
Starts a canary that nobody can have notarized, and one that is the same on every
machine and must be TRUSTED. What counts is the decision on record about that very
container. Removes what it made. The result is in the state directory: self-test.json.

Exits 0 when both halves are proven, 1 when the gate is not in the way or refuses what
may start, 2 when only the canary that must start is not notarized yet.

Examples:
  vcn-hook self-test --publish     # once for a ledger, with a publisher's key
  vcn-hook self-test
  vcn-hook self-test --engine podman -o json";

pub(super) const SETUP: &str = "\
Each step shows the plain command that does the same, asks, and is left alone when it
is done: enroll in audit mode, configure, baseline, self-test, and after showing what
would be refused, enforce. Where one stops, the same command goes on from there.

Examples:
  vcn-hook setup /srv/ledger --dry-run
  vcn-hook setup /srv/ledger --yes
  vcn-hook setup https://ledger.example --root sha256:0f3c… --skip baseline --audit";

pub(super) const MODE: &str = "\
In audit mode every start is judged and recorded, and none is refused. Before
enforce it is shown what would have been refused lately, and asked about; what
is written goes to conf.d/50-node.toml, unless config.toml sets 'mode' itself,
and is applied at once.

Examples:
  vcn-hook mode
  vcn-hook mode audit
  vcn-hook mode enforce --dry-run";

pub(super) const COMPLETION: &str = "\
The packages install it for bash, zsh and fish. It completes both names of the program,
vcn-hook and vcn.

Examples:
  vcn-hook completion bash >/etc/bash_completion.d/vcn-hook
  vcn-hook completion zsh >/usr/local/share/zsh/site-functions/_vcn-hook
  vcn-hook completion fish >~/.config/fish/completions/vcn-hook.fish";

pub(super) const DOCTOR: &str = "\
Looks at files, processes and mounts; asks no engine and changes nothing. Each
finding says how bad it is (danger, warning, note, ok) and what closes it. As
another user than root it says what it could not look at.

Exit codes: 0 nothing is wrong, 1 there are warnings or dangers.

Examples:
  sudo vcn-hook doctor
  sudo vcn-hook doctor -o json | jq -r '.findings[] | select(.severity == \"danger\") | .what'";

pub(super) const ENROLL: &str = "\
Pins the ledger's trust root beside the configuration and follows the ledger
from then on. Without --root the fingerprint is shown and asked about; a
directory that only root can change needs no asking.

Examples:
  vcn-hook enroll /srv/ledger
  vcn-hook enroll https://ledger.example/vcn --root sha256:0f3c…";

pub(super) const SYNC: &str = "\
As root: this node's allowlist, which is then applied to the gate.
Otherwise: a copy of your own, in $XDG_STATE_HOME/vcn-hook.";

pub(super) const APPLY: &str = "\
Verifies the trust chain and the configuration, and replaces gate.bin as a
whole or not at all. Needs root, and no network.

Says what runs and will not start again. When the ledger's word is missing for
too many images at once ([guard] of config.toml), they are held, which means
that they start with a warning, and it exits with 2. What is UNTRUSTED,
UNSUPPORTED or revoked is never held, and nothing is while the allowlist is stale.";

pub(super) const CONFIGURE: &str = "\
Ways in, for --runtime:
  system  in the place of runc and crun: every engine and every person that
          calls them by these names; nothing has to be restarted
  docker  a runtime 'vcn' in daemon.json, and the default one; Docker has to be
          told to read it
  podman  what runc and crun mean to Podman, and a hook

Several may be on at once. What was done is on record, and 'vcn-hook
unconfigure' undoes it. --status exits 1 when something does not stand any more.

Examples:
  vcn-hook configure --dry-run
  vcn-hook configure
  vcn-hook configure --runtime docker
  vcn-hook configure --status";

pub(super) const UNCONFIGURE: &str = "\
A file that is as it was left becomes the very file it was; of one that was
changed since, only our part is taken out. Needs no configuration, no gate.bin
and no engine that runs, and can be run twice.

Examples:
  vcn-hook unconfigure --dry-run
  vcn-hook unconfigure
  vcn-hook unconfigure --runtime docker";

pub(super) const LEDGER_INIT: &str = "\
Keys of the log, the indexer and the trust root go to DIR/.state/keys, mode
0600. The first signer is 'default' of the organisation 'default' at level 2,
and its word alone is enough.

Examples:
  vcn-hook ledger init /srv/ledger --origin ledger.example/vcn
  vcn-hook ledger init ./ledger --origin test.example/vcn --keys ./keys";

pub(super) const LEDGER_SERVE: &str = "\
Anybody may read; who the trust root names as a signer may also state. Keeps the
index up to date and signed. Ends on SIGTERM or SIGINT, after it has answered.

Speaks plain HTTP, which is enough: everything that is read is signed. In front
of the world put a web server or CDN before it, or let one serve DIR itself and
pass only POST /add on.

Examples:
  vcn-hook ledger serve /srv/ledger
  vcn-hook ledger serve /srv/ledger --listen 192.0.2.7:9580";

pub(super) const LEDGER_INDEX: &str = "\
Run it after others have written to the ledger, and from a timer: a note that
is not signed anew expires, and nodes then refuse to start containers.

Example:
  vcn-hook ledger index /srv/ledger";

pub(super) const TRUST_SHOW: &str = "\
Examples:
  vcn-hook trust show
  vcn-hook trust show https://ledger.example/vcn
  vcn-hook trust show next.txt";

pub(super) const TRUST_EDIT: &str = "\
Every line of the format may be changed in the file; the options do what is
needed most. Nothing counts before enough root keys have signed it and it is
published.

Examples:
  vcn-hook trust edit next.txt --ledger /srv/ledger
  vcn-hook trust edit next.txt --signer \"$(cat ci.pub)\" --org default
  vcn-hook trust edit next.txt --revoke ci+1f3c9a70
  vcn-hook trust edit next.txt --exempt-key \"$(cat a.pub)\" --exempt-key \"$(cat b.pub)\" --exempt-threshold 2";

pub(super) const TRUST_SIGN: &str = "\
Shows what the version changes and what that will do, and asks on a terminal.
It takes the thresholds of the version before and of its own.

Examples:
  vcn-hook trust sign next.txt --key /media/stick/root
  vcn-hook trust sign next.txt --ledger https://ledger.example/vcn --root sha256:0f3c…";

pub(super) const TRUST_PUBLISH: &str = "\
Example:
  vcn-hook trust publish /srv/ledger next.txt

Nodes follow it with their next sync. If an indexer's key is in DIR's private
state, the index is folded and signed anew at once.";

pub(super) const EXEMPT: &str = "\
For one image, on one node, for at most 72 hours: it may start although the
ledger has no word about it or the allowlist is stale. Nothing else is
overridden: no UNTRUSTED, no revoked key, no rule. Each start by it is a warning
on record. As many of the trust root's exempt keys sign it as that asks for.

Examples:
  vcn-hook exempt docker://app:1.5 --for 24h --reason 'ticket 4711'
  vcn-hook exempt --hash 7d2d42157acd… --for 8h --reason 'ticket 4711' --node 0fb5f7213de2…
  vcn-hook exempt sign exempt-7d2d42157acd.note --key /media/stick/oncall
  vcn-hook exempt install exempt-7d2d42157acd.note";

pub(super) const EXEMPT_SIGN: &str = "\
Shows the exemption, and asks on a terminal.

Examples:
  vcn-hook exempt sign exempt-7d2d42157acd.note
  vcn-hook exempt sign exempt-7d2d42157acd.note --key agent:oncall --ledger https://ledger.example/vcn";
