package config

import "time"

// Restraint bounds what people and forges are asked to take: what is over a bound waits as waiting(pr_cap).
type Restraint struct {
	OpenPullRequests      int  `env:"REPO_OPEN_PULL_REQUESTS" envDefault:"5" for:"publisher,all" min:"1" max:"1000000" desc:"Pull requests of ours that may be open in one repository."`
	PullRequestsPerHour   int  `env:"REPO_PULL_REQUESTS_PER_HOUR" envDefault:"2" for:"publisher,all" min:"1" max:"1000000" desc:"Pull requests that may be begun in one repository within an hour."`
	ForgeWritesPerMinute  int  `env:"FORGE_WRITES_PER_MINUTE" envDefault:"80" for:"publisher,all" min:"10" max:"1000000" desc:"Calls that create content on one forge within a minute, of all publishers together; GitHub's own limit is 80."`
	ForgeWritesPerHour    int  `env:"FORGE_WRITES_PER_HOUR" envDefault:"500" for:"publisher,all" min:"10" max:"1000000" desc:"The same within an hour; GitHub's own limit is 500. At least FORGE_WRITES_PER_MINUTE."`
	ForkFailures          bool `env:"FORK_FAILURES" envDefault:"false" for:"throttle,all" desc:"Take in failures of pull requests from forks. A repository has to say forks: true in .sre-agent.yaml as well, or its run ends as declined(fork) before any of the fork's code is run; what comes of one is a comment with the patch at most. Without it they are ignored(fork)."`
	IncidentWindowSeconds int  `env:"INCIDENT_WINDOW_SECONDS" envDefault:"86400" for:"publisher,all" min:"0" max:"2592000" unit:"seconds" desc:"How long an open pull request stands for the same change for the same error in an owner's other branches and repositories; 0: not at all."`
}

// IncidentWindow is how long an open pull request stands for the same trouble elsewhere.
func (r Restraint) IncidentWindow() time.Duration { return seconds(r.IncidentWindowSeconds) }
