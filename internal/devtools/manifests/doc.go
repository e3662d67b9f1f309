// Package manifests holds what is deployed to its own schemas: the compose file to Docker's, the Kubernetes manifests, as
// kustomize builds them, to the types of Kubernetes' API, strictly. It is a module of its own, so that none of these
// libraries is in ours.
package manifests
