package tasks

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/hibiken/asynq"

	"rollcall/internal/ledger"
	"rollcall/internal/roster"
)

// payloadVersion is the first byte of a payload.
const payloadVersion = 2

// What a row has besides its number, as bits.
const (
	hasIdentity = 1 << iota
	hasParticipant
	hasName
	hasReplaces
)

// payload is a task on the wire. It holds all that its handler needs, so that the
// handler reads nothing but the rows' state from the ledger, and it is as short as
// can be: there may be a million of them in Redis.
func payload(b ledger.Batch, rows []roster.Change) []byte {
	first := rows[0]
	p := make([]byte, 0, 128+64*len(rows))
	p = append(p, payloadVersion)
	p = appendText(p, b.ID, "")
	p = binary.AppendUvarint(p, uint64(b.Base))
	p = binary.AppendUvarint(p, uint64(b.Expire/time.Second))
	p = binary.AppendUvarint(p, uint64(b.Keep/time.Second))
	p = appendText(p, first.TenantID, "")
	p = appendText(p, first.CallID, "")
	n := int64(0)
	for _, c := range rows {
		p = binary.AppendUvarint(p, uint64(c.Row-n)) // they are in order
		n = c.Row
		has := byte(0)
		for bit, there := range [...]bool{c.Kind != roster.NoIdentity, c.ParticipantID != "", c.DisplayName != "", c.ReplacesCallID != ""} {
			if there {
				has |= 1 << bit
			}
		}
		p = append(p, has)
		if has&hasIdentity != 0 {
			p = appendText(append(p, byte(c.Kind)), c.ID, "")
		}
		for _, t := range [...]struct {
			bit  byte
			text string
		}{{hasParticipant, c.ParticipantID}, {hasName, c.DisplayName}, {hasReplaces, c.ReplacesCallID}} {
			if has&t.bit != 0 {
				p = appendText(p, t.text, "")
			}
		}
	}
	return p
}

// readTask reads a payload.
func readTask(t *asynq.Task) (*task, error) {
	r := compactReader{rest: t.Payload()}
	if v := r.number(math.MaxUint8); v != payloadVersion {
		return nil, fmt.Errorf("read task: %w", errCompact)
	}
	out := &task{action: roster.Delete}
	if t.Type() == typeInvite {
		out.action = roster.Invite
	}
	const most = math.MaxInt64
	out.batch.ID = r.text("")
	out.batch.Base = r.number(most)
	out.batch.Expire = time.Duration(r.number(most/uint64(time.Second))) * time.Second
	out.batch.Keep = time.Duration(r.number(most/uint64(time.Second))) * time.Second
	out.tenant = r.text("")
	call := r.text("")
	n := int64(0)
	for len(r.rest) > 0 {
		step := r.number(math.MaxInt32)
		n += step
		c := roster.Change{Row: n, Action: out.action, TenantID: out.tenant, CallID: call}
		has := r.number(hasReplaces<<1 - 1)
		if has&hasIdentity != 0 {
			c.Kind, c.ID = roster.Kind(r.number(uint64(roster.Guest))), r.text("")
			if c.Kind == roster.NoIdentity {
				r.fail()
			}
		}
		for _, t := range [...]struct {
			bit  int64
			text *string
		}{{hasParticipant, &c.ParticipantID}, {hasName, &c.DisplayName}, {hasReplaces, &c.ReplacesCallID}} {
			if has&t.bit != 0 {
				*t.text = r.text("")
			}
		}
		if step == 0 {
			r.fail()
		}
		out.rows = append(out.rows, c)
	}
	switch {
	case r.err != nil:
		return nil, fmt.Errorf("read task: %w", r.err)
	case out.batch.ID == "" || call == "" || len(out.rows) == 0:
		return nil, errors.New("read task: it names no batch, call or rows")
	}
	return out, nil
}
