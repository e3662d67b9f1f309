package streams

import (
	"slices"
)

// Role says who is connected, and with it what its NATS user may do.
type Role string

// The roles: the four services, and people with the command line.
const (
	IngestRole    Role = "ingest"
	ThrottleRole  Role = "throttle"
	RunnerRole    Role = "runner"
	PublisherRole Role = "publisher"
	OperatorRole  Role = "operator"
)

// Roles are all of them.
func Roles() []Role {
	return []Role{IngestRole, ThrottleRole, RunnerRole, PublisherRole, OperatorRole}
}

// inboxPrefix is where a role's answers arrive. Each service has a place of its own, so that none can listen to what
// another one fetched.
func (r Role) inboxPrefix() string {
	if !slices.Contains(Roles(), r) || r == OperatorRole {
		return "_INBOX"
	}
	return "_INBOX." + string(r)
}

// home is the stream that a role can't do without, and the consumer that it works there, if any.
func (r Role) home() (stream, consumer string) {
	switch r {
	case RunnerRole:
		return Runs, RunnerConsumer
	case PublisherRole:
		return Fixes, PublisherConsumer
	case ThrottleRole:
		return Deliveries, ThrottleConsumer
	default:
		return Deliveries, ""
	}
}

// Access is the subjects that a role's NATS user may publish to and subscribe to. JetStream is asked by publishing too,
// so this is also what it may ask of which stream.
type Access struct{ Publish, Subscribe []string }

const (
	api          = "$JS.API."
	bodiesStream = "OBJ_" + bodiesBucket
	bodiesMeta   = "$O." + bodiesBucket + ".M.*"
	bodiesChunks = "$O." + bodiesBucket + ".C.*"
)

// AccessOf is the least that a role can do its work with. The throttle keeps the streams: it makes them, and the
// consumers of the table, but can't delete or purge one.
func AccessOf(r Role) Access {
	a := Access{Subscribe: []string{r.inboxPrefix() + ".>"}}
	switch r {
	case IngestRole:
		a.Publish = slices.Concat([]string{"deliveries.>", "events.delivery.>"}, look(Deliveries), storeBodies())
	case ThrottleRole:
		a.Publish = slices.Concat(
			[]string{"runs.ready.>", "fixes.ready.>", "events.>", "dead.>"},
			keep(), work(Deliveries, ThrottleConsumer), work(Advisories, MoverConsumer),
			read(Deliveries), read(Runs), read(Fixes), remove(Runs), remove(Fixes), storeBodies(), readBodies())
		a.Subscribe = append(a.Subscribe, WakeSubject)
	case RunnerRole:
		a.Publish = slices.Concat(
			[]string{"fixes.ready.>", "events.>", "dead.runs.ready.>", WakeSubject}, look(Runs), work(Runs, RunnerConsumer))
	case PublisherRole:
		a.Publish = slices.Concat(
			[]string{"events.>", "dead.fixes.ready.>"}, look(Fixes), work(Fixes, PublisherConsumer),
			follow(Events, "notify-info"), follow(Events, "notify-warning"), follow(DeadStream, "notify-error"))
	case OperatorRole:
		a.Publish = []string{
			"deliveries.>", "runs.ready.>", "fixes.ready.>", "events.>", "dead.>", WakeSubject,
			api + ">", "$JS.ACK.>", "$JS.FC.>", "$O." + bodiesBucket + ".>",
		}
		a.Subscribe = append(a.Subscribe, "events.>", "$JS.EVENT.>")
	}
	slices.Sort(a.Publish)
	a.Publish = slices.Compact(a.Publish)
	return a
}

// look is to see that a stream is there.
func look(stream string) []string { return []string{api + "STREAM.INFO." + stream} }

// work is to fetch from a consumer and to settle what was fetched.
func work(stream, consumer string) []string {
	return []string{
		api + "CONSUMER.INFO." + stream + "." + consumer,
		api + "CONSUMER.MSG.NEXT." + stream + "." + consumer,
		"$JS.ACK." + stream + "." + consumer + ".>",
	}
}

// follow is to make a consumer that tells what happens, and to work it off.
func follow(stream, name string) []string {
	return append(work(stream, name), look(stream)[0], api+"CONSUMER.CREATE."+stream+"."+name)
}

// read is to get single messages by their place.
func read(stream string) []string {
	return []string{api + "DIRECT.GET." + stream}
}

// remove is to take single messages out.
func remove(stream string) []string { return []string{api + "STREAM.MSG.DELETE." + stream} }

// keep is to look at everything in the table, and to make it what the table says.
func keep() []string {
	var out []string
	names := []string{bodiesStream}
	for _, r := range Topology(Settings{MaxAttempts: 1}) {
		names = append(names, r.Stream.Name)
		for _, c := range r.Consumers {
			out = append(out, api+"CONSUMER.INFO."+r.Stream.Name+"."+c.Durable, api+"CONSUMER.CREATE."+r.Stream.Name+"."+c.Durable)
		}
	}
	for _, name := range names {
		out = append(out, api+"STREAM.INFO."+name, api+"STREAM.CREATE."+name, api+"STREAM.UPDATE."+name)
	}
	return out
}

// storeBodies is to put a body into the object store. Names are looked up first, so their entries are readable, the
// bodies are not.
func storeBodies() []string {
	return []string{
		api + "STREAM.INFO." + bodiesStream, api + "DIRECT.GET." + bodiesStream + "." + bodiesMeta, bodiesMeta, bodiesChunks,
	}
}

// readBodies is to read one, which the client does by a consumer that it makes for it and then removes.
func readBodies() []string {
	return []string{
		api + "CONSUMER.CREATE." + bodiesStream + ".>", api + "CONSUMER.DELETE." + bodiesStream + ".>",
		"$JS.FC." + bodiesStream + ".>",
	}
}
