package config

// ViaFork is the PUBLISH_VIA that pushes to a fork, which PUBLISH_FORK_OWNER has.
const ViaFork = "fork"

// PullRequests is who the commits are by, and how pull requests are opened.
type PullRequests struct {
	AgentName        string `env:"AGENT_NAME" envDefault:"sre-agent" for:"publisher,all" check:"person" desc:"Author of the commits."`
	AgentEmail       string `env:"AGENT_EMAIL" envDefault:"sre-agent@sre-agent.invalid" for:"throttle,publisher,all" check:"email" desc:"Address of the commits' author. Set it to the bot account's own, so that the forge shows who it was. Failures of commits by this author are ignored: working on them could be a loop."`
	CommitterName    string `env:"COMMITTER_NAME" for:"publisher,all" check:"person" example:"Build robot" desc:"Committer of the commits. Without it, their author."`
	CommitterEmail   string `env:"COMMITTER_EMAIL" for:"publisher,all" check:"email" example:"robot@example.com" desc:"Address of the committer: a forge shows a signed commit as verified only if the key belongs to this address. Without it, the author's."`
	CommitSignOff    bool   `env:"COMMIT_SIGNOFF" envDefault:"false" for:"publisher,all" desc:"End each commit's message with the author's Signed-off-by line, as the Developer Certificate of Origin wants it."`
	SigningKeyFile   string `env:"COMMIT_SIGNING_KEY_FILE" for:"publisher,all" example:"/run/secrets/commit-signing-key" desc:"Path of a private key that signs the commits: an SSH key (Ed25519 or RSA) or an armored OpenPGP key (EdDSA or RSA), as its content says, without a passphrase, in a file that only the publisher may read. A key that will not do refuses the start."`
	PublishVia       string `env:"PUBLISH_VIA" envDefault:"branch" allowed:"branch,fork" for:"publisher,all" desc:"Where the fix is pushed: branch is one of the repository itself, and its CI runs with the repository's secrets; fork is one of a fork that PUBLISH_FORK_OWNER has, and its CI runs as that of any outsider. docs/pull-requests.md says more."`
	PublishForkOwner string `env:"PUBLISH_FORK_OWNER" for:"publisher,all" example:"acme-bots" desc:"Who has the forks that are pushed to, by the repositories' own names: an account, organisation, group, Bitbucket workspace or Azure DevOps project. PUBLISH_VIA=fork needs it."`
	PullRequestDraft bool   `env:"PULL_REQUEST_DRAFT" envDefault:"false" for:"publisher,all" desc:"Open pull requests as drafts."`
	RerunFailed      bool   `env:"RERUN_INFRASTRUCTURE" envDefault:"false" for:"runner,publisher,all" desc:"Ask the provider once to run a job again that the network, a machine or a flaky test failed. GITHUB_WRITE_TOKEN then needs the permission Actions, read and write. A repository switches it off with rerun: false in .sre-agent.yaml."`
	ReceiptKeyFile   string `env:"RECEIPT_KEY_FILE" for:"publisher,all" example:"/run/secrets/receipt.key" desc:"Path of a minisign secret key without a password (sre-agent receipt keygen makes one) that signs a receipt of every pull request, in a file that only the publisher may read. Without it there are no receipts."`
}

func (l *loader) checkPublishing() {
	c := l.cfg
	if _, writes := c.sources["GITHUB_WRITE_TOKEN"]; writes && !l.bad["GITHUB_WRITE_TOKEN"] && !l.bad["GITHUB_APP_PRIVATE_KEY"] && !c.WriteToken.IsSet() && !c.WritesAsApp() {
		l.problems = append(l.problems, Problem{
			Variable: "GITHUB_WRITE_TOKEN", Given: "is not set", Want: "it, or GITHUB_APP_ID and GITHUB_APP_PRIVATE_KEY, or the name of a file that holds it in GITHUB_WRITE_TOKEN_FILE", Example: "github_pat_...",
		})
	}
	if c.PublishVia == ViaFork && c.PublishForkOwner == "" {
		l.wrong("PUBLISH_FORK_OWNER", "is not set, but PUBLISH_VIA is fork", "the owner of the forks")
	}
	if c.PublishVia == ViaFork && c.PlainGitWriteToken.IsSet() {
		l.wrong("PUBLISH_VIA", "is fork, but PLAIN_GIT_WRITE_TOKEN is set", "branch, or no PLAIN_GIT_WRITE_TOKEN: a git server that is no forge has no forks")
	}
}

// WritesAsApp says that a GitHub App opens the pull requests there.
func (c *Config) WritesAsApp() bool {
	return !c.WriteToken.IsSet() && c.GitHubAppID != "" && c.GitHubAppPrivateKey.IsSet()
}
