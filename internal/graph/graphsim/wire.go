package graphsim

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// apiError is a refusal in Graph's manner.
type apiError struct {
	status        int
	code, message string
}

// The refusals that do not depend on a body.
var (
	errToken       = apiError{http.StatusUnauthorized, "InvalidAuthenticationToken", "Access token is empty or not valid."}
	errThrottled   = apiError{http.StatusTooManyRequests, "TooManyRequests", "Too many requests."}
	errMethod      = apiError{http.StatusMethodNotAllowed, "MethodNotAllowed", "The method is not allowed for this resource."}
	errPath        = apiError{http.StatusNotFound, "ResourceNotFound", "Resource not found for the segment."}
	errUnavailable = apiError{http.StatusServiceUnavailable, "ServiceUnavailable", "The service is unavailable."}
	errInternal    = apiError{http.StatusInternalServerError, "9999", "Unknown internal server error."}
	errCall        = apiError{http.StatusNotFound, "8522", "Call not found."}
	errParticipant = apiError{http.StatusNotFound, "8523", "Participant not found."}
	errOperation   = apiError{http.StatusNotFound, "8524", "Operation not found."}
)

func badRequest(message string) *apiError {
	return &apiError{http.StatusBadRequest, "BadRequest", message}
}

// reply is an answer. The zero reply is a connection closed without one.
type reply struct {
	status  int
	header  http.Header
	body    []byte
	code    string // of an error
	refused *apiError
}

func (r *reply) headers() http.Header {
	if r.header == nil {
		r.header = http.Header{}
	}
	return r.header
}

func refusal(e apiError) reply { return reply{status: e.status, code: e.code, refused: &e} }

func jsonReply(v any) reply {
	body, err := json.Marshal(v)
	if err != nil {
		return refusal(errInternal)
	}
	return reply{status: http.StatusOK, body: body}
}

// gatewayTimeout is not from Graph but from something in front of it.
func gatewayTimeout() reply {
	r := reply{status: http.StatusGatewayTimeout,
		body: []byte("<html><head><title>504 Gateway Time-out</title></head><body></body></html>\n")}
	r.headers().Set("Content-Type", "text/html")
	return r
}

type errorBody struct {
	Error errorDetail `json:"error"`
}

type errorDetail struct {
	Code       string     `json:"code"`
	Message    string     `json:"message"`
	InnerError innerError `json:"innerError"`
}

type innerError struct {
	Date            string `json:"date"`
	RequestID       string `json:"request-id"`
	ClientRequestID string `json:"client-request-id"`
}

// write sends the answer, or closes the connection.
func (x *exchange) write(w http.ResponseWriter, r *http.Request) {
	if x.reply.status == 0 {
		panic(http.ErrAbortHandler)
	}
	requestID := uuid.NewString()
	clientRequestID := r.Header.Get("Client-Request-Id")
	if clientRequestID == "" {
		clientRequestID = requestID
	}
	h := w.Header()
	for name, values := range x.reply.header {
		h[name] = values
	}
	h.Set("Request-Id", requestID)
	h.Set("Client-Request-Id", clientRequestID)
	// By the simulator's clock, as is a Retry-After that is a date.
	h.Set("Date", x.rec.End.UTC().Format(http.TimeFormat))
	body := x.reply.body
	if e := x.reply.refused; e != nil {
		body, _ = json.Marshal(errorBody{errorDetail{e.code, e.message, innerError{
			Date:            x.rec.End.UTC().Format("2006-01-02T15:04:05"),
			RequestID:       requestID,
			ClientRequestID: clientRequestID,
		}}})
	}
	if len(body) > 0 {
		if h.Get("Content-Type") == "" {
			h.Set("Content-Type", "application/json")
		}
		h.Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(x.reply.status)
	if x.fault == FaultCut && len(body) > 1 {
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(body)
}

type wireIdentity struct {
	ID          string  `json:"id"`
	DisplayName *string `json:"displayName"`
}

type wireInfo struct {
	Identity      map[string]wireIdentity `json:"identity"`
	ParticipantID *string                 `json:"participantId"`
}

type wireParticipant struct {
	ID           string   `json:"id"`
	Info         wireInfo `json:"info"`
	InLobby      bool     `json:"isInLobby"`
	Muted        bool     `json:"isMuted"`
	MediaStreams []string `json:"mediaStreams"`
	Metadata     *string  `json:"metadata"`
	RemovedState *string  `json:"removedState"`
	Sequence     int64    `json:"rosterSequenceNumber"`
}

func (p *Participant) wire() wireParticipant {
	w := wireParticipant{
		ID:           p.ID,
		InLobby:      p.InLobby,
		MediaStreams: []string{},
		Sequence:     p.seq,
		Info: wireInfo{
			Identity:      map[string]wireIdentity{p.Kind: {ID: p.Identity, DisplayName: optional(p.DisplayName)}},
			ParticipantID: optional(p.InvitedAs),
		},
	}
	return w
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// entity is one object with its OData context.
func entity[T any](set string, v T) any {
	body, err := json.Marshal(v)
	if err != nil || len(body) < 3 {
		return v
	}
	head := `{"@odata.context":"https://graph.microsoft.com/v1.0/$metadata#` + set + `",`
	return json.RawMessage(head + string(body[1:]))
}

type wireResult struct {
	Code    int    `json:"code"`
	Subcode int    `json:"subcode"`
	Message string `json:"message"`
}

type wireOperation struct {
	Type          string      `json:"@odata.type"`
	ID            string      `json:"id"`
	Status        string      `json:"status"`
	ClientContext *string     `json:"clientContext"`
	ResultInfo    *wireResult `json:"resultInfo"`
	Participants  []any       `json:"participants,omitempty"`
}

func (o *operation) wire() wireOperation {
	w := wireOperation{
		Type:          "#microsoft.graph.inviteParticipantsOperation",
		ID:            o.id,
		Status:        o.status(),
		ClientContext: optional(o.clientContext),
	}
	switch {
	case !o.over():
	case o.code != 0:
		w.ResultInfo = &wireResult{Code: o.code, Message: o.message}
	default:
		w.ResultInfo = &wireResult{Code: http.StatusOK}
	}
	return w
}

// gone tells whether a finished operation can no longer be read.
func (o *operation) gone(now time.Time, life time.Duration) bool {
	return o.over() && (life < 0 || now.Sub(o.finished) > life)
}
