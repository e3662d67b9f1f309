// Package config reads sre-agent's configuration from environment variables.
//
// It promises that a program starts only with a configuration that is whole: Load checks everything that the program
// needs and reports all that is wrong in one error. A secret never leaves it in a message, a log line or a
// listing; a program is never handed a secret that it has no use for.
package config

import "time"

// Program says who reads the configuration: each program sees only the variables that it needs.
type Program string

// The programs. All is every service in one process; Operator is the command line, which requires nothing
// until a command needs it.
const (
	Ingest    Program = "ingest"
	Throttle  Program = "throttle"
	Runner    Program = "runner"
	Publisher Program = "publisher"
	All       Program = "all"
	Operator  Program = "operator"
)

// Config is the whole configuration, one struct per concern. The struct tags are the reference: `for` lists the
// programs that read a variable (all of them when absent), `required` those that can't start without it, and `desc` is
// the text of docs/configuration.md. A variable that the program does not read has its default here.
type Config struct {
	Knobs        `title:"Knobs"`
	Webhooks     `title:"Webhooks"`
	GitHub       `title:"GitHub"`
	Reading      `title:"Logs and code of other providers"`
	Writing      `title:"Pull requests on other forges"`
	PlainGit     `title:"Repositories on no forge"`
	Notify       `title:"Notifications"`
	NATS         `title:"NATS"`
	Database     `title:"PostgreSQL"`
	Redis        `title:"Redis"`
	HTTP         `title:"HTTP"`
	Workers      `title:"Workers"`
	Sandbox      `title:"Sandbox"`
	Rules        `title:"Policy and scan"`
	Model        `title:"Language model"`
	Agent        `title:"Agent command"`
	PullRequests `title:"Commits and pull requests"`
	Watching     `title:"Watching pull requests"`
	Restraint    `title:"Restraint"`
	Logging      `title:"Logs"`
	Telemetry    `title:"Metrics and audit"`

	program  Program
	sources  map[string]string
	warnings []string
}

// Program returns the program that this configuration was loaded for.
func (c *Config) Program() Program { return c.program }

// Warnings lists what is odd but no reason to refuse the start, such as a misspelt variable. Log each of them.
func (c *Config) Warnings() []string { return c.warnings }

// Knobs bound how often and how much is done. Every program reads them: the streams' settings derive from them.
type Knobs struct {
	WebhookRatePerMinute  int `env:"REPO_WEBHOOK_RATE_LIMIT_PER_MINUTE" envDefault:"30" min:"1" max:"100000" desc:"Webhook intake per repository and minute. Above it deliveries are delayed, never refused."`
	ConcurrencyLimit      int `env:"REPO_PIPELINE_CONCURRENCY_LIMIT" envDefault:"2" min:"1" max:"1000" desc:"Fix pipelines of one repository that may run at the same time."`
	ConcurrencyTTLSeconds int `env:"REPO_PIPELINE_CONCURRENCY_TTL_SECONDS" envDefault:"1200" min:"3" max:"86400" unit:"seconds" desc:"Upper bound on how long a slot or lock may outlive its holder's last renewal."`
	MaxAttempts           int `env:"MAX_PIPELINE_ATTEMPTS" envDefault:"3" min:"1" max:"20" desc:"Attempts per run, a hard cap. Once reached the run is blocked(max_attempts)."`
	BaseBackoffSeconds    int `env:"BASE_BACKOFF_SECONDS" envDefault:"30" min:"1" max:"86400" unit:"seconds" desc:"Rest after the end of attempt n: min(MAX_BACKOFF_SECONDS, BASE_BACKOFF_SECONDS·2^(n−1))."`
	MaxBackoffSeconds     int `env:"MAX_BACKOFF_SECONDS" envDefault:"600" min:"1" max:"86400" unit:"seconds" desc:"The longest rest between two attempts. At least BASE_BACKOFF_SECONDS."`
	CooldownSeconds       int `env:"COOLDOWN_SECONDS" envDefault:"900" min:"1" max:"604800" unit:"seconds" desc:"From the start of an attempt to the earliest start of the next one of the same run."`
}

// ConcurrencyTTL bounds how long a slot or lock may outlive its holder's last renewal.
func (k Knobs) ConcurrencyTTL() time.Duration { return seconds(k.ConcurrencyTTLSeconds) }

// BaseBackoff is the rest after the first attempt.
func (k Knobs) BaseBackoff() time.Duration { return seconds(k.BaseBackoffSeconds) }

// MaxBackoff is the longest rest between two attempts.
func (k Knobs) MaxBackoff() time.Duration { return seconds(k.MaxBackoffSeconds) }

// Cooldown is the least time between the starts of two attempts of a run.
func (k Knobs) Cooldown() time.Duration { return seconds(k.CooldownSeconds) }

// GitHub holds the forge's addresses and the secrets, each of which goes to one program alone.
type GitHub struct {
	GitHubAPIURL string `env:"GITHUB_API_URL" envDefault:"https://api.github.com" for:"throttle,runner,publisher,all,operator" url:"https,http" desc:"Base of the REST API. The tokens are sent here."`
	GitHubGitURL string `env:"GITHUB_GIT_URL" envDefault:"https://github.com" for:"runner,publisher,all,operator" url:"https,http" desc:"Base of the clone URLs that the tokens may be sent to. A repository elsewhere is refused."`
	ReadToken    Secret `env:"GITHUB_READ_TOKEN" for:"runner,all" required:"runner,all" example:"github_pat_..." desc:"Token that reads contents and Actions logs. The runner uses it to fetch, and never hands it to a repository's code."`
	WriteToken   Secret `env:"GITHUB_WRITE_TOKEN" for:"publisher,all" example:"github_pat_..." desc:"Token that writes contents and pull requests. Only the publisher has it. Without it GITHUB_APP_ID and GITHUB_APP_PRIVATE_KEY are needed."`
}

// NATS is the connection to JetStream and the sizes of its streams.
type NATS struct {
	NATSURL               string `env:"NATS_URL" required:"ingest,throttle,runner,publisher" url:"nats,tls,ws,wss" list:"true" example:"nats://127.0.0.1:4222" desc:"Address of the NATS server, or several separated by commas. Without it the all-in-one program runs a server of its own."`
	NATSCredsFile         string `env:"NATS_CREDS_FILE" example:"/run/secrets/nats.creds" desc:"Path of a NATS credentials file."`
	NATSUser              string `env:"NATS_USER" example:"runner" desc:"User to log in as. deploy/nats has one for each program, with its own permissions."`
	NATSPassword          Secret `env:"NATS_PASSWORD" example:"a-password" desc:"Password of NATS_USER."`
	NATSCAFile            string `env:"NATS_CA_FILE" example:"/run/secrets/nats-ca.pem" desc:"Path of the certificate authorities that the server's certificate may be signed by; without it, the machine's. With it the connection is always encrypted."`
	NATSCertFile          string `env:"NATS_CERT_FILE" example:"/run/secrets/nats.pem" desc:"Path of a certificate of our own, for a server that wants one."`
	NATSKeyFile           string `env:"NATS_KEY_FILE" example:"/run/secrets/nats.key" desc:"Path of the private key of NATS_CERT_FILE."`
	NATSReplicas          int    `env:"NATS_REPLICAS" envDefault:"1" min:"1" max:"5" desc:"Copies of each stream: 1 on a single server, 3 or 5 on a cluster."`
	DeliveriesMaxBytes    int64  `env:"DELIVERIES_MAX_BYTES" envDefault:"10737418240" min:"1048576" unit:"bytes" desc:"Size cap of the DELIVERIES stream. When it is full the sender is told so (503); nothing old is dropped for something new."`
	DeliveriesMaxAgeHours int    `env:"DELIVERIES_MAX_AGE_HOURS" envDefault:"168" min:"24" max:"8760" unit:"hours" desc:"How long deliveries are kept, to be looked at and replayed."`
}

// DeliveriesMaxAge is how long deliveries are kept.
func (n NATS) DeliveriesMaxAge() time.Duration {
	return time.Duration(n.DeliveriesMaxAgeHours) * time.Hour
}

// Database is the connection to PostgreSQL, which holds the truth.
type Database struct {
	DatabaseURL      Secret `env:"DATABASE_URL" for:"throttle,runner,publisher,all,operator" required:"throttle,runner,publisher" url:"postgres,postgresql" example:"postgres://user:password@host:5432/sre_agent" desc:"PostgreSQL connection URL. Without it the all-in-one program runs a server of its own."`
	DatabaseMaxConns int    `env:"DATABASE_MAX_CONNS" envDefault:"40" for:"throttle,runner,publisher,all,operator" min:"2" max:"1000" desc:"Connections that one process may hold."`
	RecordsKeepDays  int    `env:"RECORDS_KEEP_DAYS" envDefault:"90" for:"operator" min:"2" max:"3650" unit:"days" desc:"Days after which sre-agent prune removes the records of deliveries that made no run (ignored, duplicate, dead). Never before DELIVERIES_MAX_AGE_HOURS is over. Runs, and the deliveries that made them, stay for ever."`
	EvidenceKeepDays int    `env:"EVIDENCE_KEEP_DAYS" envDefault:"90" for:"operator" min:"2" max:"3650" unit:"days" desc:"Days after a run's end after which sre-agent prune empties what its attempts found out: excerpts of logs, outputs of checks, kept diffs."`
}

// Redis is the connection to Redis, which holds locks, slots, rates and quotas.
type Redis struct {
	RedisURL Secret `env:"REDIS_URL" for:"throttle,runner,publisher,all,operator" required:"throttle,runner" url:"redis,rediss,unix" example:"redis://:password@host:6379/0" desc:"Redis connection URL. Without it the all-in-one program keeps locks in its own memory, which is for one process only, and each publisher makes a tenth of FORGE_WRITES_PER_MINUTE and FORGE_WRITES_PER_HOUR."`
}

// HTTP is the listener: webhooks (ingest), health and metrics (every program).
type HTTP struct {
	HTTPAddr                     string `env:"HTTP_ADDR" envDefault:":8080" for:"ingest,throttle,runner,publisher,all" check:"address" desc:"Address to listen on for /healthz, /readyz and /metrics, and in ingest for /webhooks."`
	WebhookMaxBodyBytes          int64  `env:"WEBHOOK_MAX_BODY_BYTES" envDefault:"26214400" for:"ingest,all" min:"1024" max:"104857600" unit:"bytes" desc:"Largest body that is read; above it the answer is 413. GitHub sends up to 25 MB."`
	WebhookBytesInFlight         int64  `env:"WEBHOOK_BYTES_IN_FLIGHT" envDefault:"67108864" for:"ingest,all" min:"4194304" max:"17179869184" unit:"bytes" desc:"Memory for all bodies that are being received or published at once. One half is for bodies above 1 MiB, so that they can't starve the others. What finds no room for two seconds is answered 503."`
	WebhookHeaderTimeoutSeconds  int    `env:"WEBHOOK_HEADER_TIMEOUT_SECONDS" envDefault:"10" for:"ingest,all" min:"1" max:"300" unit:"seconds" desc:"Time to receive a request's headers."`
	WebhookReadTimeoutSeconds    int    `env:"WEBHOOK_READ_TIMEOUT_SECONDS" envDefault:"30" for:"ingest,all" min:"1" max:"600" unit:"seconds" desc:"Time to receive a whole request."`
	WebhookPublishTimeoutSeconds int    `env:"WEBHOOK_PUBLISH_TIMEOUT_SECONDS" envDefault:"8" for:"ingest,all" min:"1" max:"300" unit:"seconds" desc:"Time for the stream's acknowledgement; after it the answer is 503. GitHub itself gives up after 10."`
	WebhookIdleTimeoutSeconds    int    `env:"WEBHOOK_IDLE_TIMEOUT_SECONDS" envDefault:"60" for:"ingest,all" min:"1" max:"3600" unit:"seconds" desc:"How long an idle connection is kept open."`
}

// WebhookHeaderTimeout is the time to receive a request's headers.
func (h HTTP) WebhookHeaderTimeout() time.Duration { return seconds(h.WebhookHeaderTimeoutSeconds) }

// WebhookReadTimeout is the time to receive a whole request.
func (h HTTP) WebhookReadTimeout() time.Duration { return seconds(h.WebhookReadTimeoutSeconds) }

// WebhookPublishTimeout is the time for the stream's acknowledgement.
func (h HTTP) WebhookPublishTimeout() time.Duration { return seconds(h.WebhookPublishTimeoutSeconds) }

// WebhookIdleTimeout is how long an idle connection is kept open.
func (h HTTP) WebhookIdleTimeout() time.Duration { return seconds(h.WebhookIdleTimeoutSeconds) }

// Workers is how much one process does at once, and how it holds on to its work.
type Workers struct {
	ThrottleWorkers      int    `env:"THROTTLE_WORKERS" envDefault:"32" for:"throttle,all" min:"1" max:"256" desc:"Deliveries that one throttle process works on at once."`
	RunnerWorkers        int    `env:"RUNNER_WORKERS" envDefault:"2" for:"runner,all" min:"1" max:"256" desc:"Runs that one runner process works on at once."`
	PublisherWorkers     int    `env:"PUBLISHER_WORKERS" envDefault:"2" for:"publisher,all" min:"1" max:"256" desc:"Fixes that one publisher process works on at once."`
	LeaseTTLSeconds      int    `env:"LEASE_TTL_SECONDS" envDefault:"30" for:"throttle,runner,publisher,all" min:"3" max:"3600" unit:"seconds" desc:"The lease that a worker renews while it works. When it runs out, another worker may take over. At most REPO_PIPELINE_CONCURRENCY_TTL_SECONDS."`
	SweepIntervalSeconds int    `env:"SWEEP_INTERVAL_SECONDS" envDefault:"2" for:"throttle,runner,publisher,all" min:"1" max:"300" unit:"seconds" desc:"How often due runs are rung again and expired leases are taken back."`
	ShutdownGraceSeconds int    `env:"SHUTDOWN_GRACE_SECONDS" envDefault:"20" for:"ingest,throttle,runner,publisher,all" min:"1" max:"3600" unit:"seconds" desc:"Time for the work in hand after a request to stop; then it is cancelled."`
	DataDir              string `env:"DATA_DIR" envDefault:".data" for:"runner,publisher,all" desc:"Directory for the mirrors of the runner and the publisher, and for the data of the servers that the all-in-one program runs itself."`
	CachesMaxBytes       int64  `env:"CACHES_MAX_BYTES" envDefault:"10737418240" for:"runner,all" min:"1048576" unit:"bytes" desc:"Room for the tools and packages that the runner keeps between runs, below DATA_DIR. Above it those that were not used for longest are removed, but none that was used within two hours."`
}

// LeaseTTL is the lease that a worker renews while it works.
func (w Workers) LeaseTTL() time.Duration { return seconds(w.LeaseTTLSeconds) }

// SweepInterval is how often due runs are rung again.
func (w Workers) SweepInterval() time.Duration { return seconds(w.SweepIntervalSeconds) }

// ShutdownGrace is the time for the work in hand after a request to stop.
func (w Workers) ShutdownGrace() time.Duration { return seconds(w.ShutdownGraceSeconds) }

// Sandbox bounds what a repository's own code may do and use.
type Sandbox struct {
	SandboxBackend        string `env:"SANDBOX" envDefault:"auto" for:"runner,all" allowed:"auto,bubblewrap,podman,docker" desc:"What the sandbox is made with. auto takes podman or docker if SANDBOX_IMAGE is set and a container of it runs, else bubblewrap if it works. One that is named and does not work is an error, never replaced by another."`
	SandboxImage          string `env:"SANDBOX_IMAGE" for:"runner,all" example:"registry.example.com/ci/tools:2026-11" desc:"Image of the sandbox's containers, with /bin/sh, env, mkdir, cat and the tools of the repositories. It must be on the machine already (podman pull, docker pull) and declare no volumes."`
	SandboxBin            string `env:"SANDBOX_BIN" envDefault:"bwrap" for:"runner,all" desc:"The bubblewrap program: a path, or a name to find on PATH."`
	SandboxTimeoutSeconds int    `env:"SANDBOX_TIMEOUT_SECONDS" envDefault:"600" for:"runner,all" min:"1" max:"86400" unit:"seconds" desc:"Time for one command in the sandbox."`
	SandboxMemoryBytes    int64  `env:"SANDBOX_MEMORY_BYTES" envDefault:"4294967296" for:"runner,all" min:"67108864" unit:"bytes" desc:"Memory for one command in the sandbox."`
	SandboxProcesses      int    `env:"SANDBOX_PROCESSES" envDefault:"512" for:"runner,all" min:"16" max:"65536" desc:"Processes and threads that one command may have."`
	SandboxDiskBytes      int64  `env:"SANDBOX_DISK_BYTES" envDefault:"8589934592" for:"runner,all" min:"67108864" unit:"bytes" desc:"Disk space that one command may fill."`
	SandboxToolchains     List   `env:"SANDBOX_TOOLCHAINS" for:"runner,all" check:"paths" example:"/usr/local/go,/opt/node" desc:"More absolute paths that the sandbox may read, separated by commas. In a container they are the only ones of the machine."`
	SandboxGoProxy        string `env:"SANDBOX_GOPROXY" envDefault:"https://proxy.golang.org" for:"runner,all" check:"goproxy" desc:"GOPROXY of the steps that may reach a package registry. 'direct' is not possible: it would let a repository's code name any host."`
	SandboxEgressAllow    List   `env:"SANDBOX_EGRESS_ALLOW" envDefault:"proxy.golang.org,sum.golang.org,registry.npmjs.org,registry.yarnpkg.com,pypi.org,files.pythonhosted.org,static.crates.io,index.crates.io,repo.maven.apache.org,plugins.gradle.org,api.nuget.org,registry.terraform.io" for:"runner,all" check:"egress" desc:"Hosts that the steps with a network may reach, through the runner's proxy: name, name:port, or http://name:port for one without TLS. Their addresses must be public."`
	SandboxEgressPrivate  List   `env:"SANDBOX_EGRESS_PRIVATE" for:"runner,all" check:"egress" example:"goproxy.corp.example,http://10.1.2.3:4873" desc:"More such hosts, whose addresses may be private: a registry or mirror of one's own."`
}

// SandboxTimeout is the time for one command in the sandbox.
func (s Sandbox) SandboxTimeout() time.Duration { return seconds(s.SandboxTimeoutSeconds) }

// Rules is what a patch is judged by.
type Rules struct {
	PolicyFile     string `env:"POLICY_FILE" for:"runner,publisher,all" example:"/etc/sre-agent/policy.yaml" desc:"A policy of your own, in the form of the policy part of .sre-agent.yaml: its limits and allowed paths stand instead of the default ones, its forbidden paths are added. The runner and the publisher judge by the same file; a bad one refuses the start."`
	Scanners       List   `env:"SCANNERS" for:"runner,all" check:"scanners" example:"osv-scanner,/opt/bin/trivy" desc:"More scanners that look at the tree before and after a patch: osv-scanner, trivy or syft, by name or absolute path. Each has to be there when the runner starts."`
	ScannerSeconds int    `env:"SCANNER_TIMEOUT_SECONDS" envDefault:"300" for:"runner,all" min:"1" max:"3600" unit:"seconds" desc:"Time for one scanner to look at one tree."`
}

// ScannerTimeout is the time for one scanner to look at one tree.
func (r Rules) ScannerTimeout() time.Duration { return seconds(r.ScannerSeconds) }

// Logging is how a program writes its log, always to standard error.
type Logging struct {
	LogFormat string `env:"LOG_FORMAT" envDefault:"json" allowed:"json,text" desc:"Form of the log lines."`
	LogLevel  string `env:"LOG_LEVEL" envDefault:"info" allowed:"debug,info,warn,error" desc:"The least severe level that is written."`
}

// Telemetry is what is measured beside the usual, and how often.
type Telemetry struct {
	MetricsRepositories  int `env:"METRICS_REPOSITORIES" envDefault:"0" for:"throttle,runner,publisher,all" min:"0" max:"1000" desc:"Repositories that have a label of their own in metrics, the first ones that come. Each makes new series; 0 is none."`
	AuditIntervalSeconds int `env:"AUDIT_INTERVAL_SECONDS" envDefault:"300" for:"throttle,all" min:"1" max:"86400" unit:"seconds" desc:"How often one of the throttles compares the stream with the records, and these with each other."`
}

// AuditInterval is how often the records are audited.
func (t Telemetry) AuditInterval() time.Duration { return seconds(t.AuditIntervalSeconds) }

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }
