package streams

//go:generate go run ./genaccounts ../deploy/nats/accounts.conf
