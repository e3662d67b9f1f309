package streams

import "github.com/nats-io/nats.go"

// Login is how a connection shows who it is, and how it knows the server. What is empty is not used.
type Login struct {
	User, Password string
	CredsFile      string
	// CAFile signs the server's certificate; CertFile and KeyFile are our own.
	CAFile, CertFile, KeyFile string
}

func (l Login) options() []nats.Option {
	var opts []nats.Option
	if l.User != "" {
		opts = append(opts, nats.UserInfo(l.User, l.Password))
	}
	if l.CredsFile != "" {
		opts = append(opts, nats.UserCredentials(l.CredsFile))
	}
	if l.CAFile != "" {
		opts = append(opts, nats.RootCAs(l.CAFile))
	}
	if l.CertFile != "" {
		opts = append(opts, nats.ClientCert(l.CertFile, l.KeyFile))
	}
	return opts
}
