// Package deploy checks what an operator takes from deploy/ and docker-compose.yml:
// with the code of those who will read it (Compose, Kubernetes, Kustomize,
// Prometheus, BuildKit), whether it is well formed; with real processes, whether it
// does what it says; and whether what it names exists. It is a module of its own, so
// that their code stays out of the commands.
package deploy
