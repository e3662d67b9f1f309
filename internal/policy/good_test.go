package policy_test

// good are patches as formatters, linters, lock refreshes and small plans make them.
func good() []specimen {
	var out []specimen
	for _, group := range [][]specimen{goodFormats(), goodLints(), goodLocks(), goodPlans()} {
		out = append(out, group...)
	}
	return out
}

func ok(name, diff string) specimen { return specimen{name: name, diff: diff} }

func goodFormats() []specimen {
	return []specimen{
		ok("gofmt", edit("main.go", ` package main`, `-func main(){`, `-x:=1`, `+`, `+func main() {`, `+	x := 1`, ` `)),
		ok("gofmt on a test that skips", edit("a_test.go", ` func TestX(t *testing.T) {`, `-if testing.Short() {`, `-t.Skip( "slow")`, `-return`, `-}`, `+	if testing.Short() {`, `+		t.Skip("slow")`, `+		return`, `+	}`)),
		ok("gofumpt on directives", edit("a.go", `-	x() // nolint:errcheck`, `+	x() //nolint:errcheck`)),
		ok("goimports", edit("a.go", ` import (`, `+	"context"`, ` 	"fmt"`, `-	"os"`, ` )`)),
		ok("goimports on a test", edit("a_test.go", ` import (`, `-	"fmt"`, ` 	"testing"`, ` )`)),
		ok("gofmt on a table of tests", edit("a_test.go", `-		{"adds",1,2,3},`, `-		{"divides", 4,2, 2},`, `+		{"adds", 1, 2, 3},`, `+		{"divides", 4, 2, 2},`)),
		ok("prettier", edit("src/a.ts", `-export const f = (a,b) => { return a+b }`, `+export const f = (a, b) => {`, `+  return a + b;`, `+};`)),
		ok("prettier on tests", edit("src/a.test.ts", `-it('adds',()=>{ expect(f(1,2)).toBe(3) })`, `+it("adds", () => {`, `+  expect(f(1, 2)).toBe(3);`, `+});`)),
		ok("prettier on a skipped test", edit("src/a.spec.ts", `-  it.skip('is slow', async () => { await f() })`, `+  it.skip("is slow", async () => {`, `+    await f();`, `+  });`)),
		ok("prettier on a manifest", edit("package.json", `-  "scripts": {"test":"jest","postinstall":"husky"},`, `+  "scripts": {`, `+    "test": "jest",`, `+    "postinstall": "husky"`, `+  },`)),
		ok("prettier on prose", edit("README.md", `-* run `+"`npm test || true`", `+- run `+"`npm test || true`", `-* skip with it.skip`, `+- skip with it.skip`)),
		ok("prettier on YAML", edit("config/app.yaml", `-a:   1`, `-b:  [x,y]`, `+a: 1`, `+b: [x, y]`)),
		ok("black", edit("app/a.py", `-def f(a,b): return {'x':a,'y':b}`, `+def f(a, b):`, `+    return {"x": a, "y": b}`)),
		ok("black on assertions", edit("tests/test_a.py", `-    assert f(1,2)==3, 'no'`, `+    assert f(1, 2) == 3, "no"`)),
		ok("black on a long assertion", edit("tests/test_a.py", `-    assert some_function(argument_one, argument_two)['key'] == other_function(argument_three)`, `+    assert (`, `+        some_function(argument_one, argument_two)["key"]`, `+        == other_function(argument_three)`, `+    )`)),
		ok("black on parameters", edit("tests/test_a.py", `-@pytest.mark.parametrize('a,b',[(1,2),(3,4)])`, `+@pytest.mark.parametrize("a,b", [(1, 2), (3, 4)])`, ` def test_x(a, b):`)),
		ok("black on a noqa", edit("app/a.py", `-from x import *# noqa: F403`, `+from x import *  # noqa: F403`)),
		ok("isort", edit("app/a.py", `-import sys`, `-import os`, `+import os`, `+import sys`)),
		ok("rustfmt", edit("src/lib.rs", `-fn f(a:u8)->u8{a+1}`, `+fn f(a: u8) -> u8 {`, `+    a + 1`, `+}`)),
		ok("rustfmt on tests", edit("src/lib.rs", `-    #[test] fn adds(){assert_eq!(f(1),2);}`, `+    #[test]`, `+    fn adds() {`, `+        assert_eq!(f(1), 2);`, `+    }`)),
		ok("rustfmt on a build script", edit("build.rs", `-fn main(){println!("cargo:rerun-if-changed=x");}`, `+fn main() {`, `+    println!("cargo:rerun-if-changed=x");`, `+}`)),
		ok("terraform fmt", edit("main.tf", `-  name="x"`, `-  size   = 3`, `+  name = "x"`, `+  size = 3`)),
		ok("terraform fmt on a source", edit("main.tf", `-  source="./modules/x"`, `+  source = "./modules/x"`)),
		ok("shfmt", edit("run.sh", `-if [ -n "$x" ];then`, `-make test||true`, `+if [ -n "$x" ]; then`, `+	make test || true`, ` fi`)),
		ok("buf format", edit("a.proto", `-message A{string b=1;}`, `+message A {`, `+  string b = 1;`, `+}`)),
		ok("dotnet format", edit("A.cs", `-    public int F(){return 1;}`, `+    public int F() { return 1; }`)),
		ok("ktlint", edit("A.kt", `-fun f(a:Int)=a+1`, `+fun f(a: Int) = a + 1`)),
		ok("trailing blanks and the last line's end", edit("a.txt", `-one  `, `+one`, ` two`)),
	}
}

func goodLints() []specimen {
	return []specimen{
		ok("ruff removes an import", edit("app/a.py", `-import os`, ` import sys`)),
		ok("ruff removes an import of a test", edit("tests/test_a.py", `-import os`, ` import pytest`)),
		ok("ruff removes a noqa that is not needed", edit("app/a.py", `-x = 1  # noqa: E501`, `+x = 1`)),
		ok("eslint prefers const", edit("src/a.js", `-let x = 1;`, `+const x = 1;`)),
		ok("eslint removes a directive that is not needed", edit("src/a.js", `-// eslint-disable-next-line no-console`, ` console.log(1);`)),
		ok("clippy", edit("src/a.rs", `-    return x;`, `+    x`, ` }`)),
		ok("testifylint", edit("a_test.go", `-	assert.Equal(t, nil, err)`, `+	assert.NoError(t, err)`)),
		ok("a deprecated assertion", edit("tests/test_a.py", `-        self.assertEquals(f(), 3)`, `+        self.assertEqual(f(), 3)`)),
		ok("golangci-lint on an error", edit("a.go", `-	return fmt.Errorf("x: %v", err)`, `+	return fmt.Errorf("x: %w", err)`)),
		ok("a test that is enabled again", edit("a.test.js", `-it.skip('adds', () => {`, `+it('adds', () => {`)),
		ok("a new test", edit("a_test.go", ` }`, `+`, `+func TestY(t *testing.T) {`, `+	if got := f(); got != 3 {`, `+		t.Errorf("got %d", got)`, `+	}`, `+}`)),
		ok("a stricter rule", edit(".eslintrc.json", `-    "no-unused-vars": "warn",`, `+    "no-unused-vars": "error",`)),
		ok("more coverage", edit("pyproject.toml", `-fail_under = 80`, `+fail_under = 90`)),
	}
}

func goodLocks() []specimen {
	return []specimen{
		ok("go mod tidy", edit("go.mod", ` require (`, `-	github.com/pkg/errors v0.9.1`, `+	golang.org/x/sync v0.7.0`, ` )`)+edit("go.sum", `-github.com/pkg/errors v0.9.1 h1:FEBLx1zS214owpjy7qsBeixbURkuhQAwrK5UwLGTwt4=`, `+golang.org/x/sync v0.7.0 h1:YsImfSBoP9QPYL0xyKJPq0gcaJdG3rInoqxTWbfQu9M=`)),
		ok("go mod tidy in a file with a replacement", edit("go.mod", ` replace github.com/a/b => ../b`, ` `, `-require golang.org/x/net v0.1.0`, `+require golang.org/x/net v0.2.0`)),
		ok("npm's lock file", edit("package-lock.json", `     "node_modules/ms": {`, `-      "version": "2.1.2",`, `-      "resolved": "https://registry.npmjs.org/ms/-/ms-2.1.2.tgz",`, `-      "integrity": "sha512-sGkPx+VjMtmA6MX27oA4FBFELFCZZ4S4XqeGOXCv68tT+jb3vk/RyaKWP0PTKyWtmLSM0b+adUTEvbs1PEaH2w=="`, `+      "version": "2.1.3",`, `+      "resolved": "https://registry.npmjs.org/ms/-/ms-2.1.3.tgz",`, `+      "integrity": "sha512-6FlzubTLZG3J2a/NVCAleEhjzq5oxgHyaCU9yYXvcLsvoVaHJq/s5xXI6/XXP6tz7R9xAOtHnSO/tXtF3WRTlA=="`, `     },`)),
		ok("npm's lock file with a new package", edit("package-lock.json", `       "license": "MIT"`, `     },`, `+    "node_modules/ignore": {`, `+      "version": "5.3.1",`, `+      "resolved": "https://registry.npmjs.org/ignore/-/ignore-5.3.1.tgz",`, `+      "integrity": "sha512-5Fytz/IraMjqpwfd34ke28PTVMjZjJG2MPn5t7OE4eUCUNf8BAa7b5WUS9/Qvr6mwOQS7Mk6vdsMno5he+T8Xw==",`, `+      "funding": {`, `+        "url": "https://github.com/sponsors/x"`, `+      }`, `+    },`)),
		ok("the lock file of a private registry", edit("package-lock.json", `-      "resolved": "https://npm.corp.example/a/-/a-1.0.0.tgz",`, `+      "resolved": "https://npm.corp.example/a/-/a-1.0.1.tgz",`)),
		ok("yarn's lock file", edit("yarn.lock", ` ms@^2.1.1:`, `-  version "2.1.2"`, `-  resolved "https://registry.yarnpkg.com/ms/-/ms-2.1.2.tgz#d09d1f357b443f493382a8eb3ccd183872ae6009"`, `+  version "2.1.3"`, `+  resolved "https://registry.yarnpkg.com/ms/-/ms-2.1.3.tgz#574c8138ce1d2b5861f0b44579dbadd60c6615b2"`)),
		ok("yarn berry's lock file", edit("yarn.lock", `-"ms@npm:^2.1.1":`, `-  version: 2.1.2`, `-  resolution: "ms@npm:2.1.2"`, `+"ms@npm:^2.1.1":`, `+  version: 2.1.3`, `+  resolution: "ms@npm:2.1.3"`)),
		ok("pnpm's lock file", edit("pnpm-lock.yaml", `-  /ms@2.1.2:`, `-    resolution: {integrity: sha512-sGkPx}`, `+  /ms@2.1.3:`, `+    resolution: {integrity: sha512-6Flzu}`)),
		ok("poetry's lock file", edit("poetry.lock", ` name = "idna"`, `-version = "3.6"`, `+version = "3.7"`, ` files = [`, `-    {file = "idna-3.6-py3-none-any.whl", hash = "sha256:c05567e9c24a6b9faaa835c4821bad0590fbb9d5779e7caa6e1cc4978e7eb24f"},`, `+    {file = "idna-3.7-py3-none-any.whl", hash = "sha256:82fee1fc78add43492d3a1898bfa6d8a904cc97d8427f683ed8e798d07761aa0"},`)),
		ok("uv's lock file", edit("uv.lock", ` name = "idna"`, `-version = "3.6"`, `+version = "3.7"`, ` source = { registry = "https://pypi.org/simple" }`, `-    { url = "https://files.pythonhosted.org/packages/a/idna-3.6-py3-none-any.whl", hash = "sha256:c05567" },`, `+    { url = "https://files.pythonhosted.org/packages/b/idna-3.7-py3-none-any.whl", hash = "sha256:82fee1" },`)),
		ok("Cargo.lock", edit("Cargo.lock", ` name = "libc"`, `-version = "0.2.153"`, `+version = "0.2.155"`, ` source = "registry+https://github.com/rust-lang/crates.io-index"`, `-checksum = "9c198f91728a82281a64e1f4f9eeb25d82cb32a5de251c6bd1b5154d63a8e7bd"`, `+checksum = "97b3888a4aecf77e811145cadf6eef5901f4782c53886191b2f693f24761847c"`)),
		ok("a new crate in Cargo.lock", edit("Cargo.lock", ` [[package]]`, `+name = "itoa"`, `+version = "1.0.11"`, `+source = "registry+https://github.com/rust-lang/crates.io-index"`, `+checksum = "49f1f14873335454500d59611f1cf4a4b0f786f9ac11f4312a78e4cf2566695b"`)),
		ok("Gemfile.lock", edit("Gemfile.lock", ` GEM`, `   remote: https://rubygems.org/`, `   specs:`, `-    rake (13.0.6)`, `+    rake (13.2.1)`)),
		ok("composer.lock", edit("composer.lock", `             "dist": {`, `-                "url": "https://api.github.com/repos/a/b/zipball/1111",`, `+                "url": "https://api.github.com/repos/a/b/zipball/2222",`, `+            "funding": [{"url": "https://opencollective.com/x", "type": "open_collective"}],`)),
		ok("Terraform's lock file", edit(".terraform.lock.hcl", ` provider "registry.terraform.io/hashicorp/aws" {`, `-  version = "5.0.0"`, `+  version = "5.1.0"`)),
		ok("another Gradle", edit("gradle/wrapper/gradle-wrapper.properties", `-distributionUrl=https\://services.gradle.org/distributions/gradle-8.0-bin.zip`, `+distributionUrl=https\://services.gradle.org/distributions/gradle-8.1-bin.zip`)),
	}
}

func goodPlans() []specimen {
	return []specimen{
		ok("a dependency for npm", edit("package.json", `   "dependencies": {`, `+    "ignore": "^5.3.1",`, `     "ms": "^2.1.3"`)),
		ok("a dependency of npm pinned", edit("package.json", `-    "ms": "^2.1.1",`, `+    "ms": "2.1.3",`, `     "react": "^18.2.0"`)),
		ok("a requirement", edit("requirements.txt", ` flask==3.0.0`, `+requests==2.32.3`)),
		ok("a requirement pinned", edit("requirements.txt", ` --index-url https://pypi.org/simple`, `-requests`, `+requests==2.32.3`)),
		ok("a dependency in pyproject.toml", edit("pyproject.toml", ` dependencies = [`, `+  "httpx>=0.27",`, ` ]`)),
		ok("a crate", edit("Cargo.toml", ` [dependencies]`, `+serde = { version = "1.0", features = ["derive"] }`)),
		ok("a binary of a crate", edit("Cargo.toml", `+[[bin]]`, `+name = "x"`, `+path = "src/x.rs"`)),
		ok("a Maven dependency", edit("pom.xml", `     <dependency>`, `       <groupId>org.slf4j</groupId>`, `-      <version>2.0.0</version>`, `+      <version>2.0.13</version>`)),
		ok("a Gradle dependency", edit("build.gradle", ` dependencies {`, `+    implementation 'org.slf4j:slf4j-api:2.0.13'`)),
		ok("a gem", edit("Gemfile", ` source "https://rubygems.org"`, ` `, `+gem "rake", "~> 13.2"`)),
		ok("a pinned base image", edit("Dockerfile", `-FROM golang:1.22 AS build`, `+FROM golang:1.22@sha256:0b55ab82ac2a54a6f8f85ec8b943b9e470c39e32c109b766bbc1b801f3fa8d3b AS build`, ` COPY . .`, ` FROM scratch`)),
		ok("a stage of its own", edit("Dockerfile", ` FROM node:20 AS deps`, `+FROM deps AS build`)),
		ok("apt cleaned up", edit("Dockerfile", `-RUN apt-get update && apt-get install -y curl`, `+RUN apt-get update && apt-get install -y --no-install-recommends curl && rm -rf /var/lib/apt/lists/*`)),
		ok("a setting", edit("config/app.json", `-  "timeout": 10,`, `+  "timeout": 30,`)),
		ok("a generated file", edit("internal/mocks/store.go", `-// Get mocks base method.`, `+// Get mocks the base method.`, ` func (m *MockStore) Get() {}`)),
		ok("a nil check", edit("internal/a.go", ` func f(x *T) int {`, `+	if x == nil {`, `+		return 0`, `+	}`, ` 	return x.n`)),
		ok("an unused function removed", edit("src/a.js", `-function unused() {`, `-  return 1;`, `-}`)),
		ok("a golden file written anew", edit("testdata/out.golden", `-total: 3`, `+total: 4`)),
		ok("a changed snapshot of a generator", edit("api/openapi.json", `-  "version": "1.0.0",`, `+  "version": "1.1.0",`)),
		ok("a file of prose", create("docs/testing.md", "Use `@pytest.mark.skip` and `--no-verify` with care.")),
		ok("a file that goes away", remove("src/old.js", "export const x = 1;")),
		ok("a file with another name", rename("src/a.js", "src/b.js")),
	}
}
