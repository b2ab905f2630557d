package graph

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Status is the status of an operation. Graph's schema spells it with a capital,
// its examples also without; it is compared without case and given as below. A
// status not known here is given as it came.
type Status string

// The statuses of an operation.
const (
	NotStarted Status = "NotStarted"
	Running    Status = "Running"
	Completed  Status = "Completed"
	Failed     Status = "Failed"
)

// Done tells whether the status will not change any more.
func (s Status) Done() bool { return s == Completed || s == Failed }

func parseStatus(s string) Status {
	for _, known := range [...]Status{NotStarted, Running, Completed, Failed} {
		if strings.EqualFold(s, string(known)) {
			return known
		}
	}
	return Status(printable(s, 64))
}

// Operation is what Graph does after it has accepted an invitation.
type Operation struct {
	ID     string // empty when the answer named none
	Status Status // empty when the answer had none
	Result ResultInfo
	Answer // this was read from
}

// ResultInfo says how an operation ended. Its message may name participants.
type ResultInfo struct {
	Code, Subcode int
	Message       string
}

// errBody replaces the texts of encoding/json, which quote the body.
var errBody = errors.New("the body of the answer is not what was asked for")

// parseOperation reads an operation. It gives what it can with an error.
func parseOperation(body []byte) (Operation, error) {
	var op Operation
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	tok, err := dec.Token()
	if err != nil || tok != json.Delim('{') {
		return op, errBody
	}
	whole := walkObject(dec, nil, func(path []string, value string) {
		switch strings.ToLower(strings.Join(path, ".")) {
		case "id":
			op.ID = value
		case "status":
			op.Status = parseStatus(value)
		case "resultinfo.code":
			op.Result.Code, _ = strconv.Atoi(value)
		case "resultinfo.subcode":
			op.Result.Subcode, _ = strconv.Atoi(value)
		case "resultinfo.message":
			op.Result.Message = printable(value, 2048)
		}
	})
	if !whole {
		return op, errBody
	}
	return op, nil
}

// lastSegment is the last segment of a Location header, decoded.
func lastSegment(location string) string {
	u, err := url.Parse(location)
	if err != nil {
		return ""
	}
	path := strings.TrimRight(u.EscapedPath(), "/")
	segment, err := url.PathUnescape(path[strings.LastIndexByte(path, '/')+1:])
	if err != nil {
		return ""
	}
	return segment
}

// Operation reads an operation of a call.
//
// Graph announces the end of an operation as its deletion, so [NotFound] may
// mean that it is over, with a result nobody can tell.
func (c *Client) Operation(ctx context.Context, tenant, callID, operation string) (Operation, error) {
	u, err := c.address(OpOperation, "calls", callID, "operations", operation)
	if err != nil {
		return Operation{}, err
	}
	a, err := c.do(ctx, call{op: OpOperation, method: http.MethodGet, tenant: tenant, url: u})
	if err != nil {
		return Operation{}, err
	}
	op, err := parseOperation(a.body)
	if a.bodyErr != nil || err != nil || op.Status == "" {
		return Operation{}, bodyError(OpOperation, a, errBody)
	}
	if op.ID == "" {
		op.ID = operation
	}
	op.Answer = Answer{HTTPStatus: a.status, RequestID: requestID(a.header)}
	return op, nil
}
