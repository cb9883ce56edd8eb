// Package fluxiq asks FluxiQ whether a call may pass. Go 1.21 or newer; no dependency.
//
// Not run by this project's tests.
package fluxiq

import (
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

var codes = map[int]string{
	400: "VALIDATION_ERROR", 401: "UNAUTHORIZED", 403: "FORBIDDEN", 429: "RATE_LIMITED",
}

var limits = []string{
	"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit-Policy", "RateLimit",
}

var passedOn = append([]string{
	"Content-Type", "Cache-Control", "WWW-Authenticate", "Retry-After", "X-Request-ID",
}, limits...)

var client = &http.Client{
	Timeout: 2 * time.Second,
	// A redirect would take the credential elsewhere.
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// Require lets a call pass to next where its caller holds all of these permissions. next finds
// the caller in the X-Auth-* headers of the request. Whoever is refused gets the documented error;
// where FluxiQ does not answer, 503.
func Require(baseURL string, permissions []string, next http.Handler) http.Handler {
	target := strings.TrimRight(baseURL, "/") + "/api/v1/auth/verify?" +
		url.Values{"permission": permissions}.Encode()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name := range r.Header { // what a client claims of itself
			if strings.HasPrefix(name, "X-Auth-") {
				r.Header.Del(name)
			}
		}
		answer, body, err := ask(target, r)
		if err != nil || !wellFormed(answer, body, permissions) {
			log.Printf("no answer of FluxiQ: %v", err)
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			io.WriteString(w, `{"error":{"code":"SERVICE_UNAVAILABLE",`+
				`"message":"The service is temporarily unavailable"}}`)
			return
		}
		names := limits
		if answer.StatusCode != http.StatusOK {
			names = passedOn
		}
		for _, name := range names {
			if value := answer.Header.Get(name); value != "" {
				w.Header().Set(name, value)
			}
		}
		if answer.StatusCode != http.StatusOK {
			w.WriteHeader(answer.StatusCode)
			w.Write(body)
			return
		}
		for _, name := range []string{"Kind", "Subject", "Merchants", "Permissions"} {
			r.Header.Set("X-Auth-"+name, answer.Header.Get("X-Auth-"+name))
		}
		next.ServeHTTP(w, r)
	})
}

func ask(target string, r *http.Request) (*http.Response, []byte, error) {
	question, err := http.NewRequestWithContext(r.Context(), http.MethodGet, target, nil)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range []string{"Authorization", "X-Request-ID"} {
		if values := r.Header.Values(name); len(values) > 0 {
			question.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	// FluxiQ believes this address where its TRUSTED_PROXIES names this service.
	peer, _, _ := net.SplitHostPort(r.RemoteAddr)
	hops := append(r.Header.Values("X-Forwarded-For"), peer)
	question.Header.Set("X-Forwarded-For", strings.Join(hops, ", "))
	answer, err := client.Do(question)
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	return answer, body, err
}

// wellFormed tells a documented answer from any other: another server's 200 is no grant.
func wellFormed(answer *http.Response, body []byte, permissions []string) bool {
	var envelope struct {
		Error struct{ Code string }
	}
	if json.Unmarshal(body, &envelope) != nil {
		return false
	}
	if answer.StatusCode != http.StatusOK {
		code, known := codes[answer.StatusCode]
		return known && envelope.Error.Code == code
	}
	held := map[string]bool{}
	for _, permission := range strings.Fields(answer.Header.Get("X-Auth-Permissions")) {
		held[permission] = true
	}
	for _, permission := range permissions {
		if !held[permission] {
			return false
		}
	}
	return answer.Header.Get("X-Auth-Subject") != ""
}
