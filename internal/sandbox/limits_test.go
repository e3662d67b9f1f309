package sandbox

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAForkBombIsBoundedAndCleanedUp(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, s *Sandbox) {
		mark := marker()
		begin := time.Now()
		res := run(t, s, Spec{
			Script: `: ` + mark + `; f() { f | f & }; f; sleep 1000 & sleep 1000`,
			Limits: Limits{Processes: 50, Time: 3 * time.Second},
		})
		if res.Killed != KilledTimeout && res.ExitCode == 0 {
			t.Errorf("got %+v", res)
		}
		if !strings.Contains(res.Output, "annot fork") {
			t.Errorf("nothing was refused: %.300s", res.Output)
		}
		if took := time.Since(begin); took > 30*time.Second {
			t.Errorf("took %v", took)
		}
		noneLeft(t, mark)
		want(t, s, Spec{Script: "true"}) // the machine is well
	})
}

func TestTheNumberOfProcessesIsCountedForEachRun(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, s *Sandbox) {
		res := run(t, s, Spec{
			Script: `i=0; while [ $i -lt 40 ]; do sleep 100 & i=$((i+1)); done; echo started`,
			Limits: Limits{Processes: 20},
		})
		if strings.Contains(res.Output, "started") || !strings.Contains(res.Output, "annot fork") {
			t.Errorf("40 processes with a limit of 20: %+v", res)
		}
		want(t, s, Spec{Script: `for i in 1 2 3 4 5 6 7 8 9 10; do sleep 100 & done`, Limits: Limits{Processes: 20}})
	})
}

func TestAMemoryHogIsKilled(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, s *Sandbox) {
		res := run(t, s, Spec{
			Script: `node -e "const a=[];for(;;){a.push(Buffer.alloc(1<<24,1))}"`,
			Limits: Limits{Memory: 300 << 20},
		})
		if res.Killed != KilledMemory || res.ExitCode != -1 {
			t.Errorf("got exit %d, killed %q: %.300s", res.ExitCode, res.Killed, res.Output)
		}
	})
}

func TestHogsTogetherAreKilled(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, s *Sandbox) {
		res := run(t, s, Spec{
			Script: `for i in 1 2 3 4; do setsid node -e "const a=Buffer.alloc(120<<20,1);setTimeout(()=>a[0],50000)" & done; wait; sleep 50`,
			Limits: Limits{Memory: 400 << 20},
		})
		if res.Killed != KilledMemory {
			t.Errorf("got exit %d, killed %q: %.300s", res.ExitCode, res.Killed, res.Output)
		}
	})
}

func TestDiskLimits(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, s *Sandbox) {
		t.Run("a file of 100 GB stops at the size limit", func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			res := run(t, s, Spec{Dir: dir, Script: `dd if=/dev/zero of=big bs=1M count=100000; echo "dd ended with $?"`, Limits: Limits{FileSize: 20 << 20}})
			info, err := os.Stat(filepath.Join(dir, "big"))
			if err != nil || info.Size() > 20<<20 || strings.Contains(res.Output, "ended with 0") {
				t.Errorf("size %v, %v, output %.300s", info, err, res.Output)
			}
		})
		t.Run("many files are killed at the disk limit", func(t *testing.T) {
			t.Parallel()
			res := run(t, s, Spec{Script: `mkdir d; i=0; while :; do head -c 4M /dev/zero >d/$i; i=$((i+1)); done`, Limits: Limits{FileSize: 10 << 20, Disk: 50 << 20}})
			if res.Killed != KilledDisk {
				t.Errorf("got %+v", res)
			}
		})
		t.Run("folders nested beyond measure are killed", func(t *testing.T) {
			t.Parallel()
			res := run(t, s, Spec{Script: `i=0; while [ $i -lt 3000 ]; do mkdir d && cd d || exit 1; i=$((i+1)); done; sleep 50`})
			if res.Killed != KilledDisk {
				t.Errorf("got %+v", res)
			}
		})
		t.Run("tmp is bounded", func(t *testing.T) {
			t.Parallel()
			want(t, s, Spec{Script: `not head -c 60M /dev/zero >/tmp/x 2>/dev/null; not head -c 60M /dev/zero >/dev/shm/x 2>/dev/null; rm /tmp/x`, Limits: Limits{Disk: 50 << 20}})
		})
	})
}

func TestAnEndlessLineIsBounded(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, s *Sandbox) {
		res := run(t, s, Spec{
			Script: `echo begin; head -c 50M /dev/zero | tr '\0' x; echo; echo end`,
			Limits: Limits{Output: 4000},
		})
		if len(res.Output) > 4100 || !res.Truncated || !strings.HasPrefix(res.Output, "begin\nxxx") || !strings.HasSuffix(res.Output, "xxx\nend\n") {
			t.Errorf("%d bytes: %.60q ... %q", len(res.Output), res.Output, res.Output[max(0, len(res.Output)-60):])
		}
	})
}

func TestATimeoutKillsEverything(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, s *Sandbox) {
		mark := marker()
		res := run(t, s, Spec{
			Script: `setsid sh -c ': ` + mark + `; trap "" TERM HUP INT; sleep 1000; :' & (setsid setsid sh -c ': ` + mark + `; sleep 1000; :' &) ; echo started; sleep 1000`,
			Limits: Limits{Time: time.Second},
		})
		if res.Killed != KilledTimeout || res.ExitCode != -1 || res.Output != "started\n" {
			t.Errorf("got %+v", res)
		}
		noneLeft(t, mark)
	})
}

func TestSurvivorsOfAScriptThatEndsAreKilled(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, s *Sandbox) {
		mark := marker()
		begin := time.Now()
		res := run(t, s, Spec{Script: `setsid sh -c ': ` + mark + `; sleep 1000; :' & echo started`})
		if res.Killed != "" || res.ExitCode != 0 {
			t.Errorf("got %+v", res)
		}
		if took := time.Since(begin); took > 20*time.Second {
			t.Errorf("took %v", took)
		}
		noneLeft(t, mark)
	})
}

func TestCancellingKillsEverything(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, s *Sandbox) {
		dir, mark := t.TempDir(), marker()
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			defer cancel()
			until(t, "the script runs", func() bool { _, err := os.Stat(filepath.Join(dir, "up")); return err == nil })
		}()
		res, err := s.Run(ctx, Spec{Dir: dir, Script: `setsid sh -c ': ` + mark + `; sleep 1000; :' & touch up; sleep 1000`})
		if err == nil || res.Killed != KilledCancelled || res.ExitCode != -1 {
			t.Errorf("got %+v, %v", res, err)
		}
		noneLeft(t, mark)
		if _, err := s.Run(ctx, Spec{Dir: dir, Script: "true"}); err == nil {
			t.Error("ran with a cancelled context")
		}
	})
}
