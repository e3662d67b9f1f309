package config_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sre-agent/sre-agent/internal/config"
)

func TestAModelAndAnAgentAreOptional(t *testing.T) {
	cfg, err := config.Load(config.Runner, complete())
	if err != nil || cfg.ModelName != "" || cfg.AgentCommand != "" {
		t.Error(err)
	}
}

func TestAModelsConfigurationIsCheckedAsAWhole(t *testing.T) {
	const url, name = "MODEL_URL", "MODEL_NAME"
	local := []string{url, "http://127.0.0.1:11434/v1", name, "m"}
	tests := map[string]struct {
		pairs []string
		// wrong begins the line of the problem, or is "".
		wrong string
	}{
		"a local server":                       {local, ""},
		"a server of this machine by its name": {[]string{url, "http://localhost:8000/v1", name, "org/m:7b"}, ""},
		"a hosted one":                         {[]string{url, "https://api.example.com/v1", name, "m", "MODEL_API", "anthropic", "MODEL_API_KEY", canary}, ""},
		"an address without a name":            {[]string{url, "https://api.example.com/v1"}, "MODEL_NAME is not set"},
		"a name without an address":            {[]string{name, "m"}, "MODEL_URL is not set"},
		"a key without an address":             {[]string{"MODEL_API_KEY", canary}, "MODEL_URL is not set"},
		"plain http to another machine":        {[]string{url, "http://models.internal/v1", name, "m"}, "MODEL_URL is plain http"},
		"an address with a password":           {[]string{url, "https://u:" + canary + "@h/v1", name, "m"}, "MODEL_URL is"},
		"an unknown API":                       {append([]string{"MODEL_API", "gemini"}, local...), "MODEL_API is"},
		"replay without an address":            {[]string{"MODEL_MODE", "replay", name, "m"}, ""},
		"replay without a name":                {[]string{"MODEL_MODE", "replay"}, "MODEL_NAME is not set"},
		"a name with a blank":                  {[]string{url, "https://h/v1", name, "a b"}, "MODEL_NAME is"},
		"a budget of cost with a price":        {append([]string{"MODEL_RUN_CENTS", "50", "MODEL_PRICES", "m=0.15/0.6"}, local...), ""},
		"a budget of cost without prices":      {append([]string{"MODEL_RUN_CENTS", "50"}, local...), "MODEL_RUN_CENTS is a budget without a price"},
		"a budget with another model's price":  {append([]string{"MODEL_DAY_CENTS", "50", "MODEL_PRICES", "n=1/2"}, local...), "MODEL_DAY_CENTS is a budget without a price"},
		"a price that is none":                 {append([]string{"MODEL_PRICES", "m=1e9/2"}, local...), "MODEL_PRICES is"},
		"a run's budget above a repository's":  {append([]string{"MODEL_RUN_TOKENS", "5000000"}, local...), "MODEL_RUN_TOKENS asks for"},
		"a budget too small for one question":  {append([]string{"MODEL_RUN_TOKENS", "50000"}, local...), "MODEL_MAX_OUTPUT_TOKENS asks for"},
		"an agent that works offline":          {[]string{"AGENT_COMMAND", "my-agent"}, ""},
		"an agent with a way out":              {[]string{"AGENT_COMMAND", "my-agent", "AGENT_ALLOWED_HOSTS", "api.example.com:8443", "AGENT_CREDENTIAL", canary, "AGENT_CREDENTIAL_HEADER", "x-api-key"}, ""},
		"hosts without an agent":               {[]string{"AGENT_ALLOWED_HOSTS", "api.example.com"}, "AGENT_COMMAND is not set"},
		"a credential without hosts":           {[]string{"AGENT_COMMAND", "a", "AGENT_CREDENTIAL", canary}, "AGENT_ALLOWED_HOSTS is not set"},
		"a host that is an address of a page":  {[]string{"AGENT_COMMAND", "a", "AGENT_ALLOWED_HOSTS", "https://h/x"}, "AGENT_ALLOWED_HOSTS is"},
		"a header with a line end":             {[]string{"AGENT_CREDENTIAL_HEADER", "a\r\nb"}, "AGENT_CREDENTIAL_HEADER is"},
	}
	for title, test := range tests {
		t.Run(title, func(t *testing.T) {
			_, err := config.Load(config.Runner, with(test.pairs...))
			text := ""
			if err != nil {
				text = err.Error()
			}
			if (test.wrong == "") != (err == nil) || !strings.Contains(text, "\n  "+test.wrong) && test.wrong != "" || strings.Contains(text, canary) {
				t.Error(text)
			}
			if err != nil && strings.Count(text, "\n") != 1 {
				t.Errorf("one mistake gives several problems: %s", text)
			}
		})
	}
}

func TestOnlyTheRunnerIsGivenTheModelsKey(t *testing.T) {
	pairs := []string{"MODEL_URL", "https://h/v1", "MODEL_NAME", "m", "MODEL_API_KEY", canary + "-model", "AGENT_COMMAND", "a", "AGENT_ALLOWED_HOSTS", "h", "AGENT_CREDENTIAL", canary + "-agent"}
	for _, program := range []config.Program{config.Ingest, config.Throttle, config.Runner, config.Publisher} {
		cfg, err := config.Load(program, with(pairs...))
		if err != nil {
			t.Fatal(err)
		}
		known := cfg.KnownSecrets()
		has := slices.Contains(known, canary+"-model") && slices.Contains(known, canary+"-agent")
		if has != (program == config.Runner) || cfg.ModelAPIKey.IsSet() != has {
			t.Errorf("%s: %t", program, has)
		}
	}
}

func TestPricesAreReadExactly(t *testing.T) {
	got, err := config.ParseModelPrices([]string{"small=0.15/0.6", "org/m:7b=2.5/10", "a=b=0/0.000001"})
	want := map[string]config.ModelPrice{"small": {Input: 150_000, Output: 600_000}, "org/m:7b": {Input: 2_500_000, Output: 10_000_000}, "a=b": {Input: 0, Output: 1}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	for _, bad := range []string{"", "m", "m=1", "=1/2", "m=1/", "m=/1", "m=-1/2", "m=1/2/3", "m=1,5/2", "m=0x1/2", "m=1000001/1", "m=1/NaN"} {
		if _, err := config.ParseModelPrices([]string{bad}); err == nil {
			t.Errorf("%q was read as prices", bad)
		}
	}
}

func TestTheCredentialsHeaderMayHaveAWordBeforeTheValue(t *testing.T) {
	for header, want := range map[string][2]string{"Authorization Bearer": {"Authorization", "Bearer " + canary}, "x-api-key": {"x-api-key", canary}} {
		name, value := config.Agent{AgentHeader: header, AgentCredential: config.NewSecret(canary)}.CredentialHeader()
		if name != want[0] || value.Reveal() != want[1] {
			t.Errorf("%s: %s %s", header, name, value.Reveal())
		}
	}
}
