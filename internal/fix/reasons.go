package fix

// Why a fixer declines. The set is closed: metrics and people read it.
const (
	// ReasonNoFixer: no entry of the catalogue fits the failure.
	ReasonNoFixer = "no_fixer"
	// ReasonNoCheck: nothing can tell red from green.
	ReasonNoCheck = "no_check"
	// ReasonToolMissing: the sandbox lacks a program that the fixer needs.
	ReasonToolMissing = "tool_missing"
	// ReasonToolVersion: the repository needs another version of the tool than there is.
	ReasonToolVersion = "tool_version"
	// ReasonToolVersionUnknown: the repository doesn't say which version it uses.
	ReasonToolVersionUnknown = "tool_version_unknown"
	// ReasonNeedsPlugins: the tool's configuration loads code from other packages.
	ReasonNeedsPlugins = "needs_plugins"
	// ReasonNeedsInstall: the tool needs the repository's dependencies, and they can't be installed from its lock file.
	ReasonNeedsInstall = "needs_install"
	// ReasonNoBuild: nothing says which script builds what is committed.
	ReasonNoBuild = "no_build"
	// ReasonUntrusted: what doesn't verify may have been tampered with, so a person has to look.
	ReasonUntrusted = "untrusted_wrapper"
	// ReasonAmbiguousFolder: several folders could be meant and the failure doesn't say which.
	ReasonAmbiguousFolder = "ambiguous_folder"
	// ReasonVendored: the repository holds copies of its dependencies, which the fixer would leave behind.
	ReasonVendored = "vendored"
	// ReasonForeignSource: a dependency comes from elsewhere than the ecosystem's own registry.
	ReasonForeignSource = "foreign_source"
	// ReasonBadManifest: a file that says what the repository needs can't be read.
	ReasonBadManifest = "bad_manifest"
	// ReasonFixerFailed, ReasonNothingChanged and ReasonTouchedOther are for who runs the plan: the fixer ended
	// with an error, changed nothing, or changed a file that Plan.MayTouch doesn't name.
	ReasonFixerFailed    = "fixer_failed"
	ReasonNothingChanged = "nothing_changed"
	ReasonTouchedOther   = "touched_other_files"
	// ReasonPrepareFailed: what the check needs could not be fetched.
	ReasonPrepareFailed = "prepare_failed"
)

// Reasons lists every reason of this package.
func Reasons() []string {
	return []string{
		ReasonNoFixer, ReasonNoCheck, ReasonToolMissing, ReasonToolVersion, ReasonToolVersionUnknown, ReasonNeedsPlugins,
		ReasonNeedsInstall, ReasonNoBuild, ReasonUntrusted, ReasonAmbiguousFolder, ReasonVendored, ReasonForeignSource, ReasonBadManifest, ReasonFixerFailed, ReasonNothingChanged, ReasonTouchedOther, ReasonPrepareFailed,
	}
}
