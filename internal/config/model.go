package config

import (
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The APIs that a model may speak, and what the client does with what was recorded.
const (
	ModelOpenAI    = "openai"
	ModelAnthropic = "anthropic"

	ModelRecord = "record"
	ModelReplay = "replay"
)

// Model is the language model that proposes fixes where no tool does, and what it may cost. All of it is optional.
type Model struct {
	ModelURL            string `env:"MODEL_URL" for:"runner,all" url:"https,http" example:"https://api.openai.com/v1" desc:"Base address of a language model's API, a local server's too. Without it no model is asked, and everything else works. Plain http is for this machine alone."`
	ModelAPI            string `env:"MODEL_API" envDefault:"openai" for:"runner,all" allowed:"openai,anthropic" desc:"What MODEL_URL speaks: openai is chat completions (MODEL_URL/chat/completions), anthropic is messages (MODEL_URL/messages)."`
	ModelName           string `env:"MODEL_NAME" for:"runner,all" check:"model" example:"qwen2.5-coder" desc:"The model's name, as its API knows it. Needed with MODEL_URL."`
	ModelAPIKey         Secret `env:"MODEL_API_KEY" for:"runner,all" example:"sk-..." desc:"Key of the model's API. It is sent to MODEL_URL alone; local servers need none."`
	ModelMode           string `env:"MODEL_MODE" envDefault:"record" for:"runner,all" allowed:"record,replay" desc:"record asks the model and keeps every exchange; what was answered once is not asked again while it is kept. replay only uses what was recorded, and needs no MODEL_URL."`
	ModelTimeoutSeconds int    `env:"MODEL_TIMEOUT_SECONDS" envDefault:"120" for:"runner,all" min:"1" max:"3600" unit:"seconds" desc:"Time for one answer."`
	ModelMaxInputBytes  int    `env:"MODEL_MAX_INPUT_BYTES" envDefault:"65536" for:"runner,all" min:"8192" max:"1000000" unit:"bytes" desc:"Largest question: the log's excerpt, diagnostics and parts of files."`
	ModelMaxOutput      int    `env:"MODEL_MAX_OUTPUT_TOKENS" envDefault:"4096" for:"runner,all" min:"256" max:"200000" desc:"Longest answer, in tokens."`
	ModelRunTokens      int64  `env:"MODEL_RUN_TOKENS" envDefault:"400000" for:"runner,all" min:"10000" max:"1000000000" desc:"Tokens that one run may take. A call reserves the most that it could take, which is one token for each byte of the question, and is settled with what it took."`
	ModelRepositoryDay  int64  `env:"MODEL_REPOSITORY_DAY_TOKENS" envDefault:"4000000" for:"runner,all" min:"10000" max:"100000000000" desc:"Tokens that one repository may take within 24 hours."`
	ModelDay            int64  `env:"MODEL_DAY_TOKENS" envDefault:"20000000" for:"runner,all" min:"10000" max:"1000000000000" desc:"Tokens that all repositories together may take within 24 hours."`
	ModelPrices         List   `env:"MODEL_PRICES" for:"runner,all" check:"prices" example:"small-model=0.15/0.60,big-model=2.50/10" desc:"Prices per million tokens, model=input/output, in any one currency. The budgets in cents need the price of MODEL_NAME."`
	ModelRunCents       int64  `env:"MODEL_RUN_CENTS" envDefault:"0" for:"runner,all" min:"0" max:"100000000" desc:"Hundredths of the currency of MODEL_PRICES that one run may cost; 0 sets no bound."`
	ModelRepositoryCent int64  `env:"MODEL_REPOSITORY_DAY_CENTS" envDefault:"0" for:"runner,all" min:"0" max:"100000000" desc:"The same for one repository within 24 hours."`
	ModelDayCents       int64  `env:"MODEL_DAY_CENTS" envDefault:"0" for:"runner,all" min:"0" max:"100000000" desc:"The same for all repositories together within 24 hours."`
	ModelKeepDays       int    `env:"MODEL_KEEP_DAYS" envDefault:"30" for:"runner,all" min:"2" max:"365" desc:"Days that requests and answers are kept, so that a run can be played again without the model."`
}

// ModelTimeout is the time for one answer.
func (m Model) ModelTimeout() time.Duration { return seconds(m.ModelTimeoutSeconds) }

// Agent is an external coding agent that edits a copy of the work tree in the sandbox.
type Agent struct {
	AgentCommand        string `env:"AGENT_COMMAND" for:"runner,all" example:"my-agent --yes --prompt-file \"$SRE_AGENT_PROMPT\"" desc:"Shell command of a coding agent. It runs in the sandbox, in the work tree, with the question in the file that SRE_AGENT_PROMPT names, and edits files. Without it no agent is asked."`
	AgentTimeoutSeconds int    `env:"AGENT_TIMEOUT_SECONDS" envDefault:"900" for:"runner,all" min:"1" max:"86400" unit:"seconds" desc:"Time for one run of AGENT_COMMAND."`
	AgentAllowedHosts   List   `env:"AGENT_ALLOWED_HOSTS" for:"runner,all" check:"hosts" example:"api.example.com,models.example.com:8443" desc:"The only hosts that AGENT_COMMAND reaches, through a proxy outside of the sandbox. None when empty."`
	AgentCredential     Secret `env:"AGENT_CREDENTIAL" for:"runner,all" example:"sk-..." desc:"Credential for those hosts. The proxy adds it to the requests; it is never in the sandbox."`
	AgentHeader         string `env:"AGENT_CREDENTIAL_HEADER" envDefault:"Authorization Bearer" for:"runner,all" check:"header" example:"x-api-key" desc:"Header that AGENT_CREDENTIAL goes into, and the word before it if there is one."`
}

// AgentTimeout is the time for one run of the agent command.
func (a Agent) AgentTimeout() time.Duration { return seconds(a.AgentTimeoutSeconds) }

// CredentialHeader is the name of the header that the credential goes into, and the value that it gets there.
func (a Agent) CredentialHeader() (name string, value Secret) {
	name, word, _ := strings.Cut(a.AgentHeader, " ")
	if word == "" {
		return name, a.AgentCredential
	}
	return name, NewSecret(word + " " + a.AgentCredential.Reveal())
}

// ModelPrice is what a million tokens cost, in millionths of the currency.
type ModelPrice struct{ Input, Output int64 }

// maxPrice bounds a price per million tokens, so that no sum of costs overflows.
const maxPrice = 100_000

// ParseModelPrices reads the entries of MODEL_PRICES.
func ParseModelPrices(entries []string) (map[string]ModelPrice, error) {
	prices := map[string]ModelPrice{}
	for _, entry := range entries {
		// The name may hold the sign itself; a price never does.
		at := strings.LastIndexByte(entry, '=')
		if at < 1 {
			return nil, fmt.Errorf("%q is not model=input/output", clip(entry))
		}
		in, out, ok := strings.Cut(entry[at+1:], "/")
		input, errIn := parsePrice(in)
		output, errOut := parsePrice(out)
		if !ok || errIn != nil || errOut != nil {
			return nil, fmt.Errorf("%q is not model=input/output with prices from 0 to %d", clip(entry), maxPrice)
		}
		prices[entry[:at]] = ModelPrice{Input: input, Output: output}
	}
	return prices, nil
}

var decimal = regexp.MustCompile(`^\d{1,6}(?:\.\d{1,6})?$`)

// parsePrice reads a decimal number exactly: a price is money.
func parsePrice(s string) (int64, error) {
	if !decimal.MatchString(s) {
		return 0, fmt.Errorf("price %q", clip(s))
	}
	whole, fraction, _ := strings.Cut(s, ".")
	n, err := strconv.ParseInt(whole+(fraction + "000000")[:6], 10, 64)
	if err != nil || n > maxPrice*1_000_000 {
		return 0, fmt.Errorf("price %q", clip(s))
	}
	return n, nil
}

var (
	modelName  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}$`)
	hostName   = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?(?::\d{1,5})?$`)
	headerName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,63}(?: [A-Za-z]{1,32})?$`)
)

// checkModel holds the model's and the agent command's variables to each other.
func (l *loader) checkModel() {
	c := l.cfg
	if _, reads := c.sources["MODEL_URL"]; !reads {
		return
	}
	replay := c.ModelMode == ModelReplay
	switch {
	case c.ModelURL != "" && c.ModelName == "":
		l.wrong("MODEL_NAME", "is not set", "the name of the model that MODEL_URL is asked for")
	case c.ModelURL == "" && c.ModelName != "" && !replay:
		l.wrong("MODEL_URL", "is not set", "the address of the API that has MODEL_NAME")
	case c.ModelURL == "" && c.ModelAPIKey.IsSet() && !replay:
		l.wrong("MODEL_URL", "is not set", "the address of the API that MODEL_API_KEY is for")
	case replay && c.ModelName == "":
		l.wrong("MODEL_NAME", "is not set", "the name of the model whose answers are played again")
	}
	if u, err := url.Parse(c.ModelURL); err == nil && u.Scheme == "http" && !isLoopback(u.Hostname()) {
		l.wrong("MODEL_URL", "is plain http to another machine", "https: code, logs and the key would travel in clear text")
	}
	l.checkModelBudget()
	if c.AgentCommand == "" && len(c.AgentAllowedHosts) > 0 {
		l.wrong("AGENT_COMMAND", "is not set", "the command that AGENT_ALLOWED_HOSTS is for")
	}
	if c.AgentCredential.IsSet() && len(c.AgentAllowedHosts) == 0 {
		l.wrong("AGENT_ALLOWED_HOSTS", "is not set", "the hosts that AGENT_CREDENTIAL is for")
	}
}

func (l *loader) checkModelBudget() {
	c := l.cfg
	for _, pair := range []struct {
		small, large string
		a, b         int64
	}{
		{"MODEL_MAX_OUTPUT_TOKENS", "MODEL_RUN_TOKENS", int64(c.ModelMaxOutput) + int64(c.ModelMaxInputBytes), c.ModelRunTokens},
		{"MODEL_RUN_TOKENS", "MODEL_REPOSITORY_DAY_TOKENS", c.ModelRunTokens, c.ModelRepositoryDay},
		{"MODEL_REPOSITORY_DAY_TOKENS", "MODEL_DAY_TOKENS", c.ModelRepositoryDay, c.ModelDay},
	} {
		if pair.a > pair.b && !l.bad[pair.large] {
			l.wrong(pair.small, fmt.Sprintf("asks for %d tokens", pair.a), fmt.Sprintf("at most %s, which is %d", pair.large, pair.b))
		}
	}
	prices, err := ParseModelPrices(c.ModelPrices)
	if err != nil {
		return // a problem already
	}
	_, priced := prices[c.ModelName]
	for variable, cents := range map[string]int64{
		"MODEL_RUN_CENTS": c.ModelRunCents, "MODEL_REPOSITORY_DAY_CENTS": c.ModelRepositoryCent, "MODEL_DAY_CENTS": c.ModelDayCents,
	} {
		if cents > 0 && !priced {
			l.wrong(variable, "is a budget without a price", fmt.Sprintf("the price of %q in MODEL_PRICES", clip(c.ModelName)))
		}
	}
}
