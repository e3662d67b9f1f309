package config

// PlainGit is how repositories on a git server that is no forge are read and written, and where their patches go.
type PlainGit struct {
	PlainGitURL        string `env:"PLAIN_GIT_URL" for:"runner,publisher,all" url:"https,http" example:"https://git.example.com" desc:"Base of the clone URLs of a git server that is no forge. What is below it is read, fixed, pushed to, and its patch written to PLAIN_GIT_PATCH_DIR. Off when empty."`
	PlainGitUser       string `env:"PLAIN_GIT_USER" envDefault:"sre-agent" for:"runner,publisher,all" desc:"User name that goes with the two tokens."`
	PlainGitReadToken  Secret `env:"PLAIN_GIT_READ_TOKEN" for:"runner,all" example:"the-password" desc:"Password or token that reads code there."`
	PlainGitWriteToken Secret `env:"PLAIN_GIT_WRITE_TOKEN" for:"publisher,all" example:"the-password" desc:"Password or token that pushes branches below sre-agent/ there. Only the publisher has it."`
	PlainGitPatchDir   string `env:"PLAIN_GIT_PATCH_DIR" for:"publisher,all" example:"/var/lib/sre-agent/patches" desc:"Folder for the patches, on a disk that outlives the publisher. PLAIN_GIT_WRITE_TOKEN needs it."`
	PlainGitMailTo     string `env:"PLAIN_GIT_MAIL_TO" for:"publisher,all" check:"email" example:"patches@example.com" desc:"Address that each patch is sent to as well, by SMTP_ADDRESS, from AGENT_EMAIL. Off when empty."`
	SMTPAddress        string `env:"SMTP_ADDRESS" for:"publisher,all" check:"smtp" example:"mail.example.com:587" desc:"Mail server, host:port. TLS is used from the start on port 465, elsewhere as soon as the server offers it."`
	SMTPUser           string `env:"SMTP_USER" for:"publisher,all" example:"sre-agent" desc:"User at the mail server, if it wants one. The password is sent by TLS alone."`
	SMTPPassword       Secret `env:"SMTP_PASSWORD" for:"publisher,all" example:"the-password" desc:"Password of SMTP_USER."`
}

// checkPlainGit wants with each variable what it is of no use without.
func (l *loader) checkPlainGit() {
	c := l.cfg
	for _, need := range []struct {
		variable, given string
		missing         bool
	}{
		{"PLAIN_GIT_URL", "is not set, but PLAIN_GIT_WRITE_TOKEN is", c.PlainGitWriteToken.IsSet() && c.PlainGitURL == ""},
		{"PLAIN_GIT_URL", "is not set, but PLAIN_GIT_READ_TOKEN is", c.PlainGitReadToken.IsSet() && c.PlainGitURL == ""},
		{"PLAIN_GIT_PATCH_DIR", "is not set, but PLAIN_GIT_WRITE_TOKEN is", c.PlainGitWriteToken.IsSet() && c.PlainGitPatchDir == ""},
		{"SMTP_ADDRESS", "is not set, but PLAIN_GIT_MAIL_TO is", c.PlainGitMailTo != "" && c.SMTPAddress == ""},
	} {
		if need.missing && !l.bad[need.variable] {
			l.problems = append(l.problems, Problem{Variable: need.variable, Given: need.given, Want: "both or none"})
			l.bad[need.variable] = true
		}
	}
}
