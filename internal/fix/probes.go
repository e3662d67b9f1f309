package fix

// Probes are the scripts that ask a sandbox for the programs that the catalogue needs and for what each says of its
// version. A script that fails says that the program is not there.
func Probes() map[string]string {
	return map[string]string{
		"go": "go env GOVERSION", "gofmt": "command -v gofmt", "find": "command -v find", "xargs": "command -v xargs",
		"node": "node --version", "npm": "npm --version",
		"git": "git --version", "make": "make --version | head -n 1",
		"cargo": "cargo --version", "rustc": "rustc --version", "rustfmt": "rustfmt --version", "cargo-clippy": "cargo clippy --version",
		"python3": "python3 --version", "pip": "python3 -m pip --version", "black": "black --version", "isort": "isort --version-number",
		"ruff": "ruff --version", "poetry": "poetry --version", "uv": "uv --version", "dotnet": "dotnet --version",
		"terraform": "terraform version -json | tr -d ' \\n'", "pre-commit": "pre-commit --version",
	}
}
