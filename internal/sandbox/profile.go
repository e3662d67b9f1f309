package sandbox

import (
	"encoding/json"
	"runtime"
	"slices"

	"golang.org/x/sys/unix"
)

// profileFile is where an engine finds the seccomp profile.
const profileFile = "seccomp.json"

// seccompRule and seccompArg are of the engines' format: the seccomp part of the OCI runtime specification.
type seccompRule struct {
	Names  []string     `json:"names"`
	Action string       `json:"action"`
	Errno  int          `json:"errnoRet"`
	Args   []seccompArg `json:"args,omitempty"`
}

type seccompArg struct {
	Index    int    `json:"index"`
	Value    uint64 `json:"value"`
	ValueTwo uint64 `json:"valueTwo"`
	Op       string `json:"op"`
}

var ociArchitectures = map[string]string{"amd64": "SCMP_ARCH_X86_64", "arm64": "SCMP_ARCH_AARCH64"}

// seccompProfile is filter as engines want it, and nil for an architecture that filter doesn't know. User namespaces are
// in it, which bubblewrap forbids in another way. No other architecture's calls are there: the engine kills them.
func seccompProfile() []byte {
	arch, ok := ociArchitectures[runtime.GOARCH]
	if !ok {
		return nil
	}
	refuse := func(errno unix.Errno, names []string, args ...seccompArg) seccompRule {
		return seccompRule{names, "SCMP_ACT_ERRNO", int(errno), args}
	}
	var names []string
	for _, call := range forbidden {
		names = append(names, call.name)
	}
	rules := []seccompRule{
		refuse(unix.EPERM, names),
		refuse(unix.EPERM, []string{"clone"}, seccompArg{0, unix.CLONE_NEWUSER, unix.CLONE_NEWUSER, "SCMP_CMP_MASKED_EQ"}),
		refuse(unix.ENOSYS, []string{"clone3"}), // its flags are where no filter looks; everybody falls back to clone
	}
	// One rule for each family: a rule may look at an argument only once.
	last := uint64(slices.Max(families))
	for family := range last {
		if !slices.Contains(families, uint32(family)) {
			rules = append(rules, refuse(unix.EAFNOSUPPORT, []string{"socket"}, seccompArg{0, family, 0, "SCMP_CMP_EQ"}))
		}
	}
	rules = append(rules, refuse(unix.EAFNOSUPPORT, []string{"socket"}, seccompArg{0, last, 0, "SCMP_CMP_GT"}))
	profile, err := json.Marshal(map[string]any{
		"defaultAction": "SCMP_ACT_ALLOW", "architectures": []string{arch}, "syscalls": rules,
	})
	if err != nil {
		panic(err) // of constants
	}
	return profile
}
