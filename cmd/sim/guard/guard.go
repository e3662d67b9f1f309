// Package guard names the guards of the simulator's doubles, so that a test can drop one and see the simulation go red.
package guard

// Name is a guard that a double keeps as the real part does.
type Name string

// The guards.
const (
	// StoreFence compares the fence of each write with the row's.
	StoreFence Name = "store.fence"
	// StoreLimit refuses a claim above the repository's limit, when a run is rung and when it is claimed.
	StoreLimit Name = "store.limit"
	// StoreRest makes a run rest for backoff and cooldown: in its due time, and again in the claim.
	StoreRest Name = "store.rest"
	// StoreAttempts ends a run, and refuses its claim, once its attempts are used up.
	StoreAttempts Name = "store.attempts"
	// StoreRunKey keeps run keys unique.
	StoreRunKey Name = "store.run_key"
	// StoreDeliveryID keeps delivery ids unique.
	StoreDeliveryID Name = "store.delivery_id"
	// StoreFingerprint keeps one open publication per fingerprint.
	StoreFingerprint Name = "store.fingerprint"
	// StoreRefusals remembers the fingerprints that people refused.
	StoreRefusals Name = "store.refusals"
	// StoreTakeBack takes back the runs of holders that are gone.
	StoreTakeBack Name = "store.take_back"
	// StoreRingAgain rings again for runs that nobody has claimed.
	StoreRingAgain Name = "store.ring_again"
	// StoreRingFixed rings for fixes that no publisher has taken.
	StoreRingFixed Name = "store.ring_fixed"
	// StoreTurn has the scheduler look at every repository that has something to start.
	StoreTurn Name = "store.turn"
	// ForgeLimit lets the publisher wait as long as the forge's limit says.
	ForgeLimit Name = "forge.limit"
	// StoreIntent hands the first try's intent to the next one, unchanged.
	StoreIntent Name = "store.intent"
	// StoreCaps counts a repository's pull requests before another one is begun.
	StoreCaps Name = "store.caps"
	// StoreIncident keeps one open publication per incident.
	StoreIncident Name = "store.incident"
	// StorePaused starts and publishes nothing in a repository that is paused.
	StorePaused Name = "store.paused"
	// StoreMode tells the mode that operators have set for a repository.
	StoreMode Name = "store.mode"
	// StoreSwitch knows that a repository is switched off.
	StoreSwitch Name = "store.switch"
	// StoreResume gives a run that was put off with its fix to the publisher, not to the pipeline.
	StoreResume Name = "store.resume"
	// StoreDigest keeps the diff that was verified.
	StoreDigest Name = "store.digest"
	// LockHolder gives a lock to one token at a time.
	LockHolder Name = "lock.holder"
	// LockToken releases a lock only for the token that holds it.
	LockToken Name = "lock.token"
	// SlotLimit bounds a repository's slots.
	SlotLimit Name = "slots.limit"
	// StreamRedeliver brings back messages that were not acknowledged.
	StreamRedeliver Name = "stream.redeliver"
	// StreamMover turns exhausted messages into records and dead letters.
	StreamMover Name = "stream.mover"
	// ForgeFind lets the publisher find the pull requests that are there before it creates one.
	ForgeFind Name = "forge.find"
	// ForgeLease creates a branch only where there is none.
	ForgeLease Name = "forge.lease"
	// HeartbeatLost lets a holder hear that its lease is lost.
	HeartbeatLost Name = "heartbeat.lost"
)

// Off is the set of guards that are dropped; nil drops none.
type Off map[Name]bool

// On says whether a guard is kept.
func (o Off) On(n Name) bool { return !o[n] }

// All lists the guards.
func All() []Name {
	return []Name{
		StoreFence, StoreLimit, StoreRest, StoreAttempts, StoreRunKey, StoreDeliveryID, StoreFingerprint, StoreRefusals, StoreTakeBack,
		StoreRingAgain, StoreRingFixed, StoreIntent, StoreDigest, LockHolder, LockToken, SlotLimit, StreamRedeliver, StreamMover, ForgeFind,
		ForgeLease, HeartbeatLost, StoreTurn, ForgeLimit, StoreCaps, StoreResume, StoreIncident,
		StorePaused, StoreMode, StoreSwitch,
	}
}
