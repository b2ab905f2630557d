// Package measure turns the requests that a simulator has recorded into figures:
// how much of what the limit allowed was used, and what was sent that should not
// have been. It is pure: it must not know processes, Redis, HTTP nor who sent the
// requests, so that all subjects are measured alike.
package measure
