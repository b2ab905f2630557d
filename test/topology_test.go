//go:build integration

package test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall/internal/redistest"
	"rollcall/internal/testutil"
)

// TestTLS runs a batch over TLS, as a user that may do no more than is needed.
func TestTLS(t *testing.T) {
	t.Parallel()
	const calls, perCall = 4, 10
	dir := t.TempDir()
	certificate(t, dir)
	_, port, _ := net.SplitHostPort(testutil.FreeAddr(t))
	server := redistest.StartServer(t, "--tls-port", port, "--tls-auth-clients", "no",
		"--tls-cert-file", filepath.Join(dir, "cert.pem"), "--tls-key-file", filepath.Join(dir, "key.pem"), "--tls-ca-cert-file", filepath.Join(dir, "cert.pem"))
	admin := server.Client(t)
	rule := []any{"acl", "setuser", "rollcall", "on", ">pa55 word"}
	for _, word := range accessRule(t) {
		rule = append(rule, word)
	}
	for _, acl := range [][]any{rule, {"acl", "setuser", "default", "off"}} {
		if err := admin.Do(t.Context(), acl...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	sim := halfRoster(t, dir, calls, perCall)
	url := "rediss://rollcall:pa55%20word@127.0.0.1:" + port + "/0"
	trust := "SSL_CERT_FILE=" + filepath.Join(dir, "cert.pem")
	env := []string{"ROLLCALL_REDIS=" + url, trust, tokenEnv(), "ROLLCALL_GRAPH_URL=" + sim.url}
	worker := start(t, dir, env, "worker", "--http", "")
	var st batchStatus
	must(t, 0, dir, env, "enqueue", "--wait", "--report", "report.csv", "--output", "json", "roster.csv").json(t, &st)
	carriedOut(t, st, sim, calls*perCall)
	for _, args := range [][]string{{"list"}, {"status"}, {"report"}, {"retry", st.Batch}, {"cancel", st.Batch}} {
		must(t, 0, dir, env, "batch", args...)
	}
	// Nothing is refused to this user, and nothing is wrong with the policy.
	if said := worker.err.String(); strings.Contains(said, "level=WARN") || strings.Contains(said, "level=ERROR") {
		t.Errorf("the worker says:\n%s", said)
	}
	// Whom it does not trust it does not talk to.
	r := must(t, 1, dir, env[:1], "batch", "list")
	if !strings.Contains(r.stderr, "certificate") || strings.Contains(r.stderr, "pa55") {
		t.Errorf("without the certificate it says %q", r.stderr)
	}
	r = must(t, 1, dir, []string{strings.Replace(env[0], "pa55", "wrong", 1), trust}, "batch", "list")
	if !strings.Contains(r.stderr, "WRONGPASS") || strings.Contains(r.stderr, "wrong%20word") {
		t.Errorf("with a wrong password it says %q", r.stderr)
	}
}

// certificate writes a certificate that signs itself, and its key.
func certificate(t testing.TB, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redis of a test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: cert}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		writeFile(t, dir, name, func(w io.Writer) { _ = pem.Encode(w, block) })
	}
}

// TestClusterReshard moves the slots of a queue, of a call and of the batch to
// other nodes of a cluster while their batch runs.
func TestClusterReshard(t *testing.T) {
	t.Parallel()
	const calls, perCall = 20, 40
	redis := redistest.StartCluster(t, 3)
	dir := t.TempDir()
	sim := halfRoster(t, dir, calls, perCall, "--limit", "200/s")
	env := []string{"ROLLCALL_REDIS=" + redis.URL()}
	workers := fleet(t, 2, redis.URL(), sim.url)
	waiting := start(t, dir, env, "enqueue", "--wait", "--output", "json", "roster.csv")
	half(t, sim, calls*perCall)
	sim.set(t, `{"limit":{"rate":10}}`) // it goes on, and not to its end
	var list []batchStatus
	must(t, 0, dir, env, "batch", "list", "--output", "json").json(t, &list)
	for _, key := range []string{"asynq:{rollcall-default}:pending", "rollcall:{c:/call-003}:newest", "rollcall:{b:" + list[0].Batch + "}:meta"} {
		if n := redis.MoveSlot(key); n == 0 {
			t.Errorf("the slot of %s was empty: the test tests nothing", key)
		}
	}
	sim.set(t, `{"limit":{}}`)
	st := finished(t, waiting)
	carriedOut(t, st, sim, calls*perCall)
	saidOnce(t, workers...)
}
