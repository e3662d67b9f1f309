package config

// Notify is who is told what happens, outside of pull requests.
type Notify struct {
	NotifyInfo      SecretList `env:"NOTIFY_INFO_URLS" for:"publisher,all" example:"generic+https://hooks.example.com/sre-agent" desc:"Who is told of each pull request that is opened: addresses of shoutrrr (Slack, Teams, e-mail, PagerDuty, any webhook; docs/notifications.md). They hold secrets. Off when empty."`
	NotifyWarning   SecretList `env:"NOTIFY_WARNING_URLS" for:"publisher,all" example:"slack://hook:T0-B0-x@webhook" desc:"Who is told of each run that is blocked."`
	NotifyError     SecretList `env:"NOTIFY_ERROR_URLS" for:"publisher,all" example:"pagerduty://eu.pagerduty.com/the-key" desc:"Who is told of each message that is given up, to DEAD."`
	NotifyPerMinute int        `env:"NOTIFY_PER_MINUTE" envDefault:"10" for:"publisher,all" min:"1" max:"600" desc:"Messages a minute for each of the three; what is over it is counted, and said with the next one."`
}
