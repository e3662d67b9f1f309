package fixplan

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/fixplan/edit"
)

// Read returns a file of the repository, and false if it isn't there or is no regular file.
type Read func(path string) (data []byte, ok bool, err error)

// Result is what a plan comes to.
type Result struct {
	// Changed are the new contents of the files that differ.
	Changed map[string][]byte `json:"-"`
	// Done are the operations, by their index, that changed something; the others were there already.
	Done []int `json:"done"`
	// FollowUps are the lock files that have to be refreshed now by their own tools.
	FollowUps []FollowUp `json:"follow_ups,omitempty"`
}

// Apply does a plan's operations in their order, all or none. Its errors are permanent with one of Reasons, but for
// those of read, which are handed up as they are. Each operation is tried again on the outcome and must find nothing
// to do there: so a second Apply on the outcome is plan_nothing_to_do, and no operation undoes another.
func Apply(plan Plan, read Read) (Result, error) {
	if err := Check(plan); err != nil {
		return Result{}, err
	}
	before := map[string][]byte{}
	for _, path := range plan.Files {
		data, ok, err := read(path)
		if err != nil {
			return Result{}, fmt.Errorf("read %q: %w", path, err)
		}
		if !ok {
			return Result{}, fault.Permf(edit.FileMissing, "%q is not there", path)
		}
		before[path] = data
	}
	now := map[string][]byte{}
	var done []int
	for i, op := range plan.Operations {
		src, ok := now[op.File]
		if !ok {
			src = before[op.File]
		}
		out, err := op.apply(src)
		if err != nil {
			return Result{}, located(i, op, err)
		}
		if !bytes.Equal(out, src) {
			done = append(done, i)
		}
		now[op.File] = out
	}
	if err := settled(plan, now); err != nil {
		return Result{}, err
	}
	return finish(plan, before, now, done, read)
}

// settled tries every operation on the outcome.
func settled(plan Plan, now map[string][]byte) error {
	for i, op := range plan.Operations {
		out, err := op.apply(now[op.File])
		if err == nil && bytes.Equal(out, now[op.File]) {
			continue
		}
		others := slices.ContainsFunc(plan.Operations[i+1:], func(o Operation) bool { return o.File == op.File })
		if others {
			return located(i, op, fault.Permf(edit.Conflict, "a later operation undoes it"))
		}
		return located(i, op, fault.Permf(edit.Declined, "the outcome isn't what was meant: %v", err))
	}
	return nil
}

func finish(plan Plan, before, now map[string][]byte, done []int, read Read) (Result, error) {
	r := Result{Changed: map[string][]byte{}, Done: done}
	for _, path := range plan.Files {
		if !bytes.Equal(before[path], now[path]) {
			r.Changed[path] = now[path]
		}
	}
	if len(r.Changed) == 0 {
		return Result{}, fault.Permf(edit.Nothing, "the files are already as the plan wants them")
	}
	var err error
	if r.FollowUps, err = followUps(plan, r, read); err != nil {
		return Result{}, err
	}
	return r, nil
}

// located says which operation an error is of, and keeps its reason.
func located(i int, op Operation, err error) error {
	var p *fault.Permanent
	if errors.As(err, &p) {
		return fault.Permf(p.Reason, "/operations/%d, %s of %q: %s", i, op.Kind, op.File, brief(p.Err.Error()))
	}
	return fmt.Errorf("/operations/%d, %s of %q: %w", i, op.Kind, op.File, err)
}
