package java

import (
	"slices"
	"strings"

	"github.com/sre-agent/sre-agent/internal/fault"
	"github.com/sre-agent/sre-agent/internal/fixplan/edit"
)

// managed is the group that means the section dependencyManagement.
const managed = "dependencyManagement"

var scopes = []string{"", "compile", "provided", "runtime", "test", "system", managed}

// Maven changes a pom.xml. Group is a scope, or "dependencyManagement" for that section.
func Maven(src []byte, dep edit.Dependency) ([]byte, error) {
	if err := check(dep); err != nil {
		return nil, err
	}
	if !slices.Contains(scopes, dep.Group) || dep.Group == "system" {
		return nil, fault.Permf(edit.Invalid, "group %q is none of compile, provided, runtime, test and %s", dep.Group, managed)
	}
	project, err := readXML(src)
	if err != nil {
		return nil, err
	}
	if project.name != "project" {
		return nil, fault.Permf(edit.Unreadable, "the file is no Maven project")
	}
	plain, central := project.get("dependencies"), project.get(managed, "dependencies")
	found := coordinates(src, plain, dep.Name)
	if dep.Group == managed || (len(found) == 0 && dep.Action == edit.Pin) {
		found = coordinates(src, central, dep.Name)
	}
	if len(found) > 1 {
		return nil, fault.Permf(edit.Ambiguous, "%s is there %d times", dep.Name, len(found))
	}
	switch {
	case len(found) == 0 && dep.Action == edit.Pin:
		return nil, notFound(dep)
	case len(found) == 0 && dep.Action == edit.Remove:
		return src, nil
	case len(found) == 0:
		return addMaven(src, project, dep)
	case dep.Action == edit.Remove:
		return edit.Do(src, edit.Lines(src, found[0].start, found[0].end))
	}
	return pinMaven(src, project, found[0], central, dep)
}

// coordinates finds the dependencies with the name. Coordinates that are variables match nothing.
func coordinates(src []byte, dependencies *element, name string) []*element {
	var out []*element
	if dependencies == nil {
		return nil
	}
	for _, d := range dependencies.children {
		if d.name == "dependency" && d.get("groupId").text(src)+":"+d.get("artifactId").text(src) == name {
			out = append(out, d)
		}
	}
	return out
}

func pinMaven(src []byte, project, d, central *element, dep edit.Dependency) ([]byte, error) {
	version := d.get("version")
	if version == nil {
		// The usual place of a version that is not here.
		if found := coordinates(src, central, dep.Name); len(found) == 1 && found[0] != d {
			version = found[0].get("version")
		}
	}
	if version == nil {
		return nil, fault.Permf(edit.Declined, "the version of %s is managed by another project", dep.Name)
	}
	have, place := version.text(src), version
	if name, ok := strings.CutPrefix(have, "${"); ok {
		name = strings.TrimSuffix(name, "}")
		var err error
		if place, err = property(src, project, name, dep); err != nil {
			return nil, err
		}
		have = place.text(src)
	}
	switch {
	case have == dep.Version:
		return src, nil
	case dep.Action == edit.Add:
		return nil, conflict(dep, have)
	case len(place.children) > 0 || !versionRE.MatchString(have):
		return nil, fault.Permf(edit.Declined, "the version of %s is %q, which is no plain version", dep.Name, have)
	}
	return edit.Do(src, place.setText(src, dep.Version))
}

// property finds the one place that sets the variable, if nobody but the dependency's group uses it.
func property(src []byte, project *element, name string, dep edit.Dependency) (*element, error) {
	var found []*element
	for _, c := range project.children {
		if c.name == "properties" {
			for _, p := range c.children {
				if p.name == name {
					found = append(found, p)
				}
			}
		}
	}
	if len(found) != 1 {
		return nil, fault.Permf(edit.Declined, "the version of %s is ${%s}, which this file sets %d times", dep.Name, name, len(found))
	}
	group, _, _ := strings.Cut(dep.Name, ":")
	uses := strings.Count(string(src), "${"+name+"}")
	for _, section := range []*element{project.get("dependencies"), project.get(managed, "dependencies")} {
		if section == nil {
			continue
		}
		for _, d := range section.children {
			if d.get("groupId").text(src) == group && d.get("version").text(src) == "${"+name+"}" {
				uses--
			}
		}
	}
	if uses != 0 {
		return nil, fault.Permf(edit.Ambiguous, "${%s} is the version of more than %s", name, group)
	}
	return found[0], nil
}

func addMaven(src []byte, project *element, dep edit.Dependency) ([]byte, error) {
	group, artifact, _ := strings.Cut(dep.Name, ":")
	section := project.get("dependencies")
	if dep.Group == managed {
		section = project.get(managed, "dependencies")
		if section == nil {
			return nil, fault.Permf(edit.NotFound, "the file has no %s", managed)
		}
	}
	step := indentStep(src, project)
	lines := []string{"<dependency>", step + "<groupId>" + group + "</groupId>", step + "<artifactId>" + artifact + "</artifactId>", step + "<version>" + dep.Version + "</version>"}
	if dep.Group != "" && dep.Group != managed && dep.Group != "compile" {
		lines = append(lines, step+"<scope>"+dep.Group+"</scope>")
	}
	lines = append(lines, "</dependency>")
	end := edit.LineEnd(src)
	if section != nil && len(section.children) > 0 {
		last := section.children[len(section.children)-1]
		indent := edit.Indent(src, last.start)
		return edit.Do(src, edit.Edit{Start: last.end, End: last.end, Text: end + indent + strings.Join(lines, end+indent)})
	}
	if section != nil {
		indent := edit.Indent(src, section.start)
		text := "<dependencies>" + end + indent + step + strings.Join(lines, end+indent+step) + end + indent + "</dependencies>"
		if strings.TrimSpace(string(src[section.inside:section.insideTo])) != "" {
			return nil, fault.Permf(edit.Declined, "the section dependencies has only comments")
		}
		return edit.Do(src, edit.Edit{Start: section.start, End: section.end, Text: text})
	}
	if len(project.children) == 0 {
		return nil, fault.Permf(edit.Declined, "the project is empty")
	}
	last := project.children[len(project.children)-1]
	for _, c := range project.children {
		// The usual order has build and what follows it behind the dependencies.
		if c.name == "build" || c.name == "reporting" || c.name == "profiles" {
			break
		}
		last = c
	}
	indent := edit.Indent(src, last.start)
	text := end + indent + "<dependencies>" + end + indent + step + strings.Join(lines, end+indent+step) + end + indent + "</dependencies>"
	return edit.Do(src, edit.Edit{Start: last.end, End: last.end, Text: text})
}

func indentStep(src []byte, project *element) string {
	if len(project.children) > 0 {
		if step := edit.Indent(src, project.children[0].start); step != "" {
			return step
		}
	}
	return "  "
}
