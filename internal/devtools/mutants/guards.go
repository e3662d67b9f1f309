package main

import "slices"

// guards is the whole table, in the way of the data.
func guards() []Guard {
	return slices.Concat(ingestGuards(), streamGuards(), throttleGuards(), claimGuards(), fenceGuards(), schemaGuards(),
		leaseGuards(), runnerGuards(), publisherGuards(), talkGuards(), edgeGuards(), watchGuards())
}
