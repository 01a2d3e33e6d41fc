package image

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"time"
)

// Link lets whoever has it see a picture until it expires, unless the picture is held or withdrawn.
type Link struct {
	Name      string // of the picture
	Expires   time.Time
	Signature string // base64url, 43 letters
}

// Link returns a link to a picture of an owner. The refusal is ImageNotFound.
func (s *Service) Link(ctx context.Context, ownerID, id string, lifetime time.Duration) (Link, error) {
	image, err := s.Get(ctx, ownerID, id)
	if err != nil {
		return Link{}, err
	}
	return s.linkTo(image, forAnyone, lifetime), nil
}

// Whom a link is for. A held picture is shown to the moderator only: its owner's links must not lead
// around the moderator.
const (
	forAnyone    = "anyone"
	forModerator = "moderator"
)

func (s *Service) linkTo(image Image, whom string, lifetime time.Duration) Link {
	expires := s.Now().Add(lifetime).Truncate(time.Second).UTC()
	return Link{image.Name, expires, s.signLink(whom, image.Name, expires.Unix())}
}

func (s *Service) signLink(whom, name string, expires int64) string {
	mac := hmac.New(sha256.New, s.LinkKey)
	mac.Write([]byte(whom + " " + name + " " + strconv.FormatInt(expires, 10)))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (s *Service) linkLetsIn(image Image, by Reader) bool {
	if by.Signature == "" || s.Now().Unix() >= by.Expires {
		return false
	}
	return s.isSigned(forModerator, image, by) || image.Status != StatusHeld && s.isSigned(forAnyone, image, by)
}

func (s *Service) isSigned(whom string, image Image, by Reader) bool {
	return hmac.Equal([]byte(by.Signature), []byte(s.signLink(whom, image.Name, by.Expires)))
}
