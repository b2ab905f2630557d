package graph

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// refreshEvery is the shortest time between two forced renewals for a tenant:
// when a token is refused, all requests under way ask for a fresh one at once.
const refreshEvery = 10 * time.Second

// AzureSource gets tokens from Microsoft Entra ID with azidentity: by client
// secret, certificate, workload identity or managed identity, whichever the
// environment describes, in this order.
type AzureSource struct {
	options azcore.ClientOptions
	scope   string
	env     func(string) string
	now     func() time.Time

	mu          sync.Mutex
	credentials map[string]*credential // by tenant
}

type credential struct {
	azcore.TokenCredential
	made time.Time
}

// AzureTokens makes a source for a cloud. origin is the scheme and host the
// tokens are for, empty for the cloud's own Graph. The environment variables are
// azidentity's: AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET,
// AZURE_CLIENT_CERTIFICATE_PATH, AZURE_CLIENT_CERTIFICATE_PASSWORD,
// AZURE_FEDERATED_TOKEN_FILE. Nothing is checked before the first token.
func AzureTokens(where Cloud, origin string) *AzureSource {
	if origin == "" {
		origin = where.Origin()
	}
	s := &AzureSource{
		scope:       strings.TrimRight(origin, "/") + "/.default",
		env:         os.Getenv,
		now:         time.Now,
		credentials: map[string]*credential{},
	}
	s.options.Cloud = cloud.AzurePublic
	if where == USGov || where == DoD {
		s.options.Cloud = cloud.AzureGovernment
	}
	s.options.Transport = &http.Client{Timeout: 20 * time.Second}
	s.options.Retry = policy.RetryOptions{MaxRetries: 2}
	return s
}

// Token implements [TokenSource]. azidentity caches tokens and renews them
// before they expire; a fresh one comes from a new credential, which has no
// cache yet, but no sooner than 10 s after the last.
func (s *AzureSource) Token(ctx context.Context, tenant string, fresh bool) (string, error) {
	if tenant == "" {
		tenant = s.env("AZURE_TENANT_ID")
	}
	cred, err := s.credential(tenant, fresh)
	if err != nil {
		return "", s.clean(err)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	token, err := cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{s.scope}})
	if err != nil {
		return "", s.clean(err)
	}
	return token.Token, nil
}

func (s *AzureSource) credential(tenant string, fresh bool) (*credential, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if c := s.credentials[tenant]; c != nil && (!fresh || now.Sub(c.made) < refreshEvery) {
		return c, nil
	}
	made, err := s.makeCredential(tenant)
	if err != nil {
		return nil, err
	}
	c := &credential{TokenCredential: made, made: now}
	s.credentials[tenant] = c
	return c, nil
}

func (s *AzureSource) makeCredential(tenant string) (azcore.TokenCredential, error) {
	client := s.env("AZURE_CLIENT_ID")
	secret := s.env("AZURE_CLIENT_SECRET")
	certificate := s.env("AZURE_CLIENT_CERTIFICATE_PATH")
	federated := s.env("AZURE_FEDERATED_TOKEN_FILE")
	if secret != "" || certificate != "" || federated != "" {
		if tenant == "" {
			return nil, errors.New("no tenant: name one, or set AZURE_TENANT_ID")
		}
		if client == "" {
			return nil, errors.New("AZURE_CLIENT_ID is not set")
		}
	}
	switch {
	case secret != "":
		return azidentity.NewClientSecretCredential(tenant, client, secret,
			&azidentity.ClientSecretCredentialOptions{ClientOptions: s.options})
	case certificate != "":
		data, err := os.ReadFile(certificate)
		if err != nil {
			return nil, fmt.Errorf("AZURE_CLIENT_CERTIFICATE_PATH: %w", err)
		}
		var password []byte
		if p := s.env("AZURE_CLIENT_CERTIFICATE_PASSWORD"); p != "" {
			password = []byte(p)
		}
		certs, key, err := azidentity.ParseCertificates(data, password)
		if err != nil {
			return nil, fmt.Errorf("AZURE_CLIENT_CERTIFICATE_PATH: %w", err)
		}
		return azidentity.NewClientCertificateCredential(tenant, client, certs, key,
			&azidentity.ClientCertificateCredentialOptions{ClientOptions: s.options})
	case federated != "":
		return azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
			ClientOptions: s.options, TenantID: tenant, ClientID: client, TokenFilePath: federated,
		})
	}
	opts := &azidentity.ManagedIdentityCredentialOptions{ClientOptions: s.options}
	if client != "" {
		opts.ID = azidentity.ClientID(client)
	}
	return azidentity.NewManagedIdentityCredential(opts)
}

// tokenError is an error of azidentity as one line without secrets. The cause
// stays reachable for errors.Is and As.
type tokenError struct {
	text  string
	cause error
}

func (e *tokenError) Error() string { return e.text }
func (e *tokenError) Unwrap() error { return e.cause }

// clean makes one line of azidentity's many and blots out the secrets, should
// any answer or path repeat them.
func (s *AzureSource) clean(err error) error {
	text := err.Error()
	for _, name := range [...]string{"AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PASSWORD"} {
		if secret := s.env(name); secret != "" {
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	text = strings.Join(strings.Fields(strings.ReplaceAll(text, "--------------------------------------------------------------------------------", "")), " ")
	return &tokenError{text: "token: " + printable(text, 600), cause: err}
}
