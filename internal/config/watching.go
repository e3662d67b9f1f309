package config

import "time"

// Watching is how long pull requests are looked at after they are open. Webhooks have one looked at within seconds;
// these are the times without any.
type Watching struct {
	WatchMinSeconds int `env:"WATCH_MIN_SECONDS" envDefault:"60" for:"publisher,all" min:"1" max:"86400" unit:"seconds" desc:"Rest between two looks at a pull request on which something happened just now. It grows with the time since. A webhook asks for a look at once."`
	WatchMaxSeconds int `env:"WATCH_MAX_SECONDS" envDefault:"3600" for:"publisher,all" min:"1" max:"604800" unit:"seconds" desc:"The longest rest between two looks. At least WATCH_MIN_SECONDS."`
	WatchStaleDays  int `env:"WATCH_STALE_DAYS" envDefault:"14" for:"publisher,all" min:"1" max:"365" unit:"days" desc:"How long nothing may happen on a pull request before it is stale and looked at no more, unless a webhook asks for it."`
	WatchBaseDays   int `env:"WATCH_BASE_DAYS" envDefault:"7" for:"publisher,all" min:"1" max:"365" unit:"days" desc:"How long the base is watched after a merge: whether it is green or red, and whether the merge is reverted."`
}

// WatchMin is the rest between two looks while something happens.
func (w Watching) WatchMin() time.Duration { return seconds(w.WatchMinSeconds) }

// WatchMax is the longest rest between two looks.
func (w Watching) WatchMax() time.Duration { return seconds(w.WatchMaxSeconds) }

// WatchStale is how long nothing may happen before nobody looks any more.
func (w Watching) WatchStale() time.Duration { return time.Duration(w.WatchStaleDays) * 24 * time.Hour }

// WatchBase is how long the base is watched after a merge.
func (w Watching) WatchBase() time.Duration { return time.Duration(w.WatchBaseDays) * 24 * time.Hour }
