// Package java changes the dependencies of a Maven pom.xml, a Gradle build file (Groovy or Kotlin) and a Gradle
// version catalogue.
//
// It promises minimal changes: the text of one version, one dependency's lines added or taken away, and nothing
// else. A version that is a variable is changed where the variable is set, if that is the same file and nothing
// outside the dependency's own group uses it. Coordinates are group:artifact; ranges, addresses and paths are refused.
// It is pure.
package java

import (
	"regexp"
	"strings"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/fixplan/edit"
)

var (
	nameRE    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*:[A-Za-z0-9_][A-Za-z0-9._-]*$`)
	versionRE = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._+-]*$`)
	groupRE   = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*$`)
)

func check(dep edit.Dependency) error {
	if len(dep.Name) > 200 || !nameRE.MatchString(dep.Name) {
		return fault.Permf(edit.Invalid, "name %q is no group:artifact", dep.Name)
	}
	if dep.Group != "" && (len(dep.Group) > 60 || !groupRE.MatchString(dep.Group)) {
		return fault.Permf(edit.Invalid, "group %q is no scope or configuration", dep.Group)
	}
	if dep.Action == edit.Remove {
		return nil
	}
	moving := strings.EqualFold(dep.Version, "LATEST") || strings.EqualFold(dep.Version, "RELEASE")
	if len(dep.Version) > 100 || !versionRE.MatchString(dep.Version) || moving {
		return fault.Permf(edit.Invalid, "version %q is no fixed version, such as 1.2.3", dep.Version)
	}
	return nil
}

func conflict(dep edit.Dependency, have string) error {
	return fault.Permf(edit.Conflict, "%s is there already as %q: pin_dependency changes it", dep.Name, have)
}

func notFound(dep edit.Dependency) error {
	return fault.Permf(edit.NotFound, "%s is not there: add_dependency adds it", dep.Name)
}
