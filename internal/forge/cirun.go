package forge

// CIRun is a run of a provider's CI as the provider has it now.
type CIRun struct {
	Commit string
	// Attempt counts from 1; it grows when somebody has the run tried again.
	Attempt   int
	Completed bool
	// Passed is for a completed run.
	Passed bool
}
