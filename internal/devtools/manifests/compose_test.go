package manifests_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

const deploy = "../../../deploy/"

func compose(t *testing.T) *types.Project {
	t.Helper()
	env := map[string]string{}
	for _, name := range strings.Fields(`NATS_INGEST_PASSWORD NATS_THROTTLE_PASSWORD NATS_RUNNER_PASSWORD NATS_PUBLISHER_PASSWORD NATS_OPERATOR_PASSWORD
		POSTGRES_PASSWORD POSTGRES_THROTTLE_PASSWORD POSTGRES_RUNNER_PASSWORD POSTGRES_PUBLISHER_PASSWORD POSTGRES_OPERATOR_PASSWORD
		GRAFANA_PASSWORD GITHUB_WEBHOOK_SECRETS GITHUB_READ_TOKEN GITHUB_WRITE_TOKEN`) {
		env[name] = "value-of-" + name
	}
	p, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir: deploy, Environment: env, ConfigFiles: []types.ConfigFile{{Filename: deploy + "compose.yaml"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestEachContainerHasItsOwnSecretsAndNobodyElses(t *testing.T) {
	p := compose(t)
	for service, want := range map[string][]string{
		"ingest":    {"GITHUB_WEBHOOK_SECRETS", "NATS_INGEST_PASSWORD"},
		"throttle":  {"NATS_THROTTLE_PASSWORD", "POSTGRES_THROTTLE_PASSWORD"},
		"runner":    {"GITHUB_READ_TOKEN", "NATS_RUNNER_PASSWORD", "POSTGRES_RUNNER_PASSWORD"},
		"publisher": {"GITHUB_WRITE_TOKEN", "NATS_PUBLISHER_PASSWORD", "POSTGRES_PUBLISHER_PASSWORD"},
	} {
		var got []string
		for _, value := range p.Services[service].Environment {
			if _, after, ok := strings.Cut(*value, "value-of-"); ok {
				name, _, _ := strings.Cut(after, "@")
				got = append(got, name)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s has %v, want %v", service, got, want)
		}
	}
}

func TestContainersAreLockedDownAndApart(t *testing.T) {
	p := compose(t)
	for _, name := range []string{"ingest", "throttle", "runner", "publisher"} {
		s := p.Services[name]
		if !s.ReadOnly || !slices.Contains(s.CapDrop, "ALL") || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") || s.Privileged || len(s.CapAdd) > 0 {
			t.Errorf("%s: read-only %v, drops %v, %v", name, s.ReadOnly, s.CapDrop, s.SecurityOpt)
		}
		if unconfined := slices.Contains(s.SecurityOpt, "seccomp=unconfined"); unconfined != (name == "runner") {
			t.Errorf("%s without seccomp: %v", name, unconfined)
		}
		for _, network := range []string{"records", "locks"} {
			_, in := s.Networks[network]
			if may := name != "ingest"; in != may {
				t.Errorf("%s in %s: %v", name, network, in)
			}
		}
	}
	for _, s := range p.Services {
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s listens on %q", s.Name, port.HostIP)
			}
		}
	}
}
