package failure

import "regexp"

// sign is what tells a class: a line that holds one of the words and fits the expression.
type sign struct {
	class  Class
	weight int
	// transient: no change of the code would help, and trying again may.
	transient bool
	mark
}

func words(any ...string) mark { return mark{any: any} }

func like(re string, any ...string) mark { return mark{any: any, re: regexp.MustCompile(re)} }

// signs are general to the tools of a class; a line may be a sign of several.
var signs = []sign{
	// The machine, the network, or a service failed.
	{Infrastructure, 95, true, words("the runner has received a shutdown signal", "lost communication with the server", "the hosted runner", "runner lost", "system failure", "no space left on device", "cannot allocate memory", "out of memory: kill", "enospc")},
	{Infrastructure, 90, true, like(`(?i)^(?:##\[error\])?The (?:action|job|operation) .*(?:timed out|exceeded the maximum)|execution took longer than|has exceeded the maximum (?:execution )?time|no output has been received in the last`, "timed out", "exceeded", "took longer", "no output has been received")},
	{Infrastructure, 90, true, like(`(?i)temporary failure in name resolution|could not resolve host|name or service not known|getaddrinfo (?:enotfound|eai_again)|network is unreachable|no route to host`, "resol", "not known", "getaddrinfo", "unreachable", "no route")},
	{Infrastructure, 85, true, like(`(?i)\b(?:ETIMEDOUT|ECONNRESET|ECONNREFUSED|ESOCKETTIMEDOUT|EAI_AGAIN)\b|connection (?:reset by peer|refused|timed out|error: connect timeout)|tls handshake timeout|i/o timeout|connect(?:ion)? timeout|could not create connection|could not connect to|failed to connect to \S+ port|connection aborted|read timed out|connection was reset`, "timeout", "timedout", "timed out", "refused", "reset", "econn", "eai_again", "connect")},
	{Infrastructure, 85, true, like(`(?i)\b(?:50[0234]|429)\b.*(?:bad gateway|service unavailable|gateway time-?out|internal server error|too many requests)|(?:error|status|code|http)[ :]+(?:50[0234]|429)\b|rate limit exceeded|API rate limit`, "50", "429", "rate limit")},
	{Infrastructure, 85, true, like(`(?i)^(?:##\[error\])?(?:fatal: )?(?:error response from daemon|unable to access 'http|couldn't find remote ref|the remote end hung up|early eof|rpc failed|.*docker pull failed)`, "daemon", "unable to access", "remote", "early eof", "rpc failed", "docker pull")},
	{Infrastructure, 85, true, like(`(?i)artifact not found|unable to download artifact|failed to (?:fetch|download) (?:http|from http|.*metadata|.*https?://)|error while fetching|error downloading|failed to download action|unable to (?:fetch|download) .*https?://|cache service|hash sum mismatch|some index files failed to download`, "artifact", "fetch", "download", "cache service", "hash sum", "index files")},
	{Infrastructure, 80, true, like(`(?i)Failed to get git|command '?\[?'?(?:git|curl|docker|ssh)\b.*timed out|unable to find image .* locally|manifest unknown|toomanyrequests`, "timed out", "unable to find image", "manifest", "toomanyrequests")},
	{Infrastructure, 75, true, like(`lib[\w.+-]+\.so[\w.]*: cannot open shared object file|(?i)failed to start .*(?:emulator|x ?server|browser)|Disconnected, because no message in`, "shared object", "failed to start", "disconnected")},
	{Infrastructure, 90, true, like(`(?i)^\W*(?:.*\bexit(?:ed)?(?: with)?(?: code| status)? 137\b|.*The runner process|.*\bsignal: killed\b|Killed$)`, "137", "runner process", "killed")},

	// Somebody may not do what the job does.
	{Permission, 90, true, words("could not load credentials", "credentials could not be loaded", "is not authorized to perform", "accessdenied", "unauthorizedaccess", "expiredtoken", "unable to locate credentials")},
	{Permission, 90, false, words("resource not accessible by integration", "permission to ", "bad credentials", "authentication failed for", "denied: permission", "requested access to the resource is denied", "401 unauthorized", "403 forbidden", "host key verification failed", "permission denied (publickey", "access key cannot be null", "input required and not supplied: token")},
	{Permission, 75, false, like(`(?i)(?:status|code|error|http)[ :]+40[13]\b|\bE?40[13]\b.*(?:forbidden|unauthorized)|need(?:s)? (?:to be )?logged in|ENEEDAUTH`, "40", "logged in", "eneedauth")},
	{Permission, 70, false, like(`(?:^|: )(?i)permission denied$|\bEACCES\b`, "permission denied", "eacces")},

	{Flaky, 75, true, like(`(?i)flaky (?:test|suite)s?\b.*(?:detected|passed|failed)|passed on (?:retry|rerun|attempt)|\b[1-9]\d* flaky\b`, "flaky", "passed on")},

	// The code doesn't compile.
	{Compile, 90, false, like(`^\s*error(?:\[E\d{4}\])?: .*|^\s*error: could not compile|^error: aborting due to`, "error[e", "could not compile", "aborting due to")},
	{Compile, 90, false, like(`(?:error|fatal error)(?:\s+[A-Z]{1,4}\d{3,5})?\s*: |: (?:fatal )?error: `, ".c:", ".cc:", ".cpp:", ".h:", ".hpp:", ".cxx:", ".m:", ".swift:", ".java:", ".kt:", ".scala:", ".hs:", ".cs(", ".c(", ".cpp(", ".h(", ".vb(", ".ts(", ".tsx(", ".m:", ".mm:", ".ml:", ".f90:", ".s:")},
	{Compile, 90, false, like(`\.go:\d+:\d+: (?:undefined: |cannot use |missing return|syntax error|imported and not used|declared and not used|too many arguments|not enough arguments|.* redeclared|undefined \(|.* undefined \(|invalid operation|assignment mismatch|could not import|expected |non-name|missing function body)|\[build failed\]|^# [\w./-]+ \[.*\.test\]$`, ".go:", "[build failed]", ".test]")},
	{Compile, 90, false, like(`\b(?:SyntaxError|IndentationError|TabError|Parse error|syntax error|ParserError)\b|\*\* \((?:CompileError|SyntaxError|TokenMissingError)\)`, "syntaxerror", "indentationerror", "taberror", "parse error", "syntax error", "parsererror", "compileerror", "tokenmissing")},
	{Compile, 85, false, words("compilation failed", "compilation error", "failed to compile", "build failed with", "compilation terminated", "undefined reference to", "linker command failed", "ld returned", "unresolved external", "cannot find symbol", "task :compile", ":compilejava failed", "compilejava failed", "compilekotlin", "ts error", "could not compile")},
	{Compile, 75, false, like(`\berror TS\d{3,5}:|\berror CS\d{4}:|\berror C\d{4}:|\berror LNK\d{4}`, "error ts", "error cs", "error c", "error lnk")},
	{Compile, 72, false, like(`^\s*(?:\d+ errors? generated|[1-9]\d* errors? found)\b`, "error")},

	// A test failed.
	{Test, 90, false, like(`^\s*--- FAIL: |^FAIL\s+\S+\s+[\d.]+s|^FAIL: |^\s*not ok \d+|^test result: FAILED|^(?:FAILED|ERROR) (?:\[[\d.]+s\] )?\S+\.py::|^FAILED CONSISTENTLY: |^FAILED \(|^\s*● .+ › |^FAILURES!|^\s*✗ .+|^\s*✕ .+|^\s*✖ .+ test`, "fail", "not ok", "›", "✗", "✕", "✖", "error ")},
	{Test, 90, false, like(`(?i)(?:tests? run: \d+.*(?:failures: [1-9]|errors: [1-9]))|\b[1-9]\d* (?:tests? )?(?:failed|failures?|failing)\b|tests?:.*\b[1-9]\d* failed|\b(?:failures|failed): [1-9]`, "fail")},
	{Test, 85, false, like(`(?:AssertionError|AssertionFailedError|ComparisonFailure|ExpectationNotMetError|Minitest::Assertion|Failed asserting|ExpectationFailed|assertion failed|assertion .* failed|Assertion with .* failed|thread '.*' panicked)`, "assert", "comparisonfailure", "expectation", "panicked")},
	{Test, 80, false, like(`^\s*(?:\d+\) .+(?:test|spec|Test|Spec)|rspec \./|There (?:was|were) \d+ (?:failure|error)|.* \[FAIL\]|.*<<< (?:FAILURE|ERROR)!|.*There are test failures|Failed tests?:|There were failing tests)|short test summary|\d+/\d+ failed!|# Looks like .* failed|Failed \d+/\d+ subtests|TEST FAILURE|^FAIL\b.*\.(?:js|ts|jsx|tsx)|\bTest .*failed`, "test", "spec", "fail", "<<<")},

	// What runs the job is set up wrongly.
	{Config, 85, false, like(`(?i)invalid workflow file|unrecognized named-value|unexpected value '|yaml: line \d+|error parsing .*\.ya?ml|invalid configuration|unknown (?:option|flag|command)\b|unrecognized (?:option|arguments?)|no rakefile found|missing script:|make: \*\*\* no rule to make target|unable to resolve action|configuration (?:error|file .* not found)|is not a recognized|no configuration file|failed to load config`, "workflow", "unexpected value", "yaml", "config", "unknown ", "unrecognized", "rakefile", "missing script", "no rule", "resolve action", "recognized")},
	{Config, 72, false, like(`(?i):\s*(?:line \d+: )?.*(?:command not found|no such file or directory)$`, "command not found", "no such file")},

	// What the code needs can't be had, or its lock is stale.
	{Dependency, 90, false, like(`(?i)npm (?:err!|error) (?:code )?(?:ERESOLVE|ETARGET|E404|EINTEGRITY|EUSAGE)|can only install packages when your package\.json|lockfile (?:needs to be updated|would have been modified)|frozen-lockfile|ERR_PNPM_OUTDATED_LOCKFILE|lock file .* (?:needs to be updated|is not up to date|out of date)|poetry\.lock is not up to date|pyproject\.toml changed significantly|the lock ?file .* is not up to date`, "npm err", "lock", "can only install", "frozen", "pyproject")},
	{Dependency, 90, false, like(`(?i)missing go\.sum entry|updates to go\.(?:mod|sum) needed|no required module provides|go: .*: unknown revision|verifying .*: checksum mismatch|inconsistent vendoring`, "go.sum", "go.mod", "required module", "unknown revision", "checksum", "vendoring")},
	{Dependency, 85, false, like(`(?i)no matching (?:distribution|version|package)|could not find a version|could not resolve dependencies|conflicting (?:dependencies|requirements)|resolutionimpossible|unresolved dependency|your requirements could not be resolved|could not find (?:compatible versions|gem)|package .* has no installation candidate|unable to locate package|could not find artifact|version solving failed|failed to select a version|non-resolvable|bundler could not find|could not find compatible`, "no matching", "could not", "conflicting", "resolution", "unresolved dep", "requirements", "candidate", "locate package", "version", "resolvable", "bundler")},
	{Dependency, 75, false, like(`\b(?:ModuleNotFoundError|Cannot find module|LoadError|ClassNotFoundException|package \S+ does not exist)\b|No module named|Could not find package|can't find crate`, "modulenotfound", "cannot find module", "loaderror", "classnotfound", "does not exist", "no module named", "find package", "find crate")},

	// A committed file isn't what its source gives.
	{Generated, 85, false, like(`(?i)generated (?:files?|code) (?:is|are|were) (?:not (?:current|up.to.date)|stale|out of date)|(?:please )?run .*(?:go generate|make generate|make gen|codegen).*(?:commit|again)|uncommitted changes|detected (?:uncommitted|unexpected) changes|checkout dirty|working (?:tree|directory) (?:is )?(?:not clean|dirty)|files? (?:is|are) out of (?:date|sync)`, "generated", "generate", "uncommitted", "unexpected changes", "dirty", "not clean", "out of")},

	{Lint, 85, false, like(`\((?:errcheck|govet|staticcheck|unused|ineffassign|revive|gosimple|gosec|misspell|stylecheck|gocritic|typecheck|unparam|S[AT]?\d{3,4})\)\s*$|^\s+\d+:\d+\s+(?:error|warning|✖)\s+.+\s{2,}[@\w/-]+$|: [A-Z]{1,4}\d{3,4}:? .+|\[\*\] |(?:^|: )[CWEF]: \[?\w+/\w+|✖ \d+ problems?|\d+ offenses? detected|linter failed|lint(?:ing)? (?:errors?|failed|failure)`, ")", "error", "warning", "✖", ":", "[*]", "offense", "lint")},
	{Lint, 70, false, like(`(?i)\b(?:eslint|tslint|stylelint|pylint|rubocop|flake8|checkstyle|pmd|spotbugs|shellcheck|hadolint|yamllint|markdownlint|golint|ktlint|scalastyle|jshint|standard:|clippy::)\b.*(?:error|fail|warn|violation|problem|found)`, "lint", "rubocop", "flake8", "checkstyle", "pmd", "spotbugs", "shellcheck", "jshint", "standard", "clippy", "scalastyle")},

	{Format, 90, false, like(`(?i)^would reformat:? |\d+ files? would be reformatted|code style issues (?:found|in)|forgot to run prettier|not properly formatted|is not (?:gofmt|gofumpt|goimports)-ed|^diff in .+(?:at line \d+|:\d+):$|file is not .?(?:gofmt|gofumpt|goimports)|imports are incorrectly sorted|\(prettier/prettier\)|prettier/prettier$|^\S+\.go\.orig\b|the following files (?:are not|aren't|had) (?:formatted|format)|spotlessCheck|format violations|needs formatting|fix the formatting|not formatted`, "reformat", "code style issues", "prettier", "formatted", "ed", "diff in", "sorted", ".orig", "format", "spotless")},
	{Format, 72, false, like(`^\[warn\] \S+\.\w+$`, "[warn]")},
}
