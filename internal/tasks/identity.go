package tasks

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"

	"rollcall/internal/roster"
)

// Identity is what makes a batch the one it is: the same input with the same
// options is the same batch, whoever enqueues it and however often.
type Identity struct {
	Sum     [32]byte // of the input's content
	Options roster.Options
	Key     string // --key: the same content under another key is another batch
	Again   bool   // --again: always another batch
}

// BatchID derives the batch's id: 20 letters and digits.
func (i Identity) BatchID() string {
	h := sha256.New()
	action := ""
	if i.Options.Action != 0 {
		action = i.Options.Action.String()
	}
	// Each part with its length, so that no two identities look alike.
	for _, part := range []string{"rollcall 1", string(i.Sum[:]), action, i.Options.CallID, i.Options.TenantID, i.Key} {
		_, _ = fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	if i.Again {
		_, _ = fmt.Fprintf(h, "again:%s", rand.Text())
	}
	return strings.ToLower(base32.StdEncoding.EncodeToString(h.Sum(nil)))[:batchIDLen]
}

const batchIDLen = 20

// CheckBatchID makes sure that s can be the id of a batch, so that nothing else
// becomes part of a key.
func CheckBatchID(s string) error {
	if len(s) != batchIDLen || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz234567") != "" {
		return fmt.Errorf("a batch id is %d lower-case letters and digits, as 'batch list' shows them", batchIDLen)
	}
	return nil
}
