package httpapi

import (
	"context"
	"iter"
	"net/http"

	"gatehouse/internal/api"
	"gatehouse/internal/audit"
	"gatehouse/internal/export"
	"gatehouse/internal/image"
)

func (s *server) ExportCurrentUser(ctx context.Context, request api.ExportCurrentUserRequestObject) (api.ExportCurrentUserResponseObject, error) {
	userID := callFrom(ctx).session.UserID
	if err := s.Accounts.ConfirmExport(ctx, userID, confirmationFromAPI(*request.Body), originOf(ctx)); err != nil {
		return nil, err
	}
	contents, err := s.exportOf(ctx, userID)
	return archive{ctx, contents}, err
}

func (s *server) exportOf(ctx context.Context, userID string) (export.Contents, error) {
	c := callFrom(ctx)
	user, err := s.Accounts.Get(ctx, userID)
	if err != nil {
		return export.Contents{}, err
	}
	logins, err := s.Sessions.List(ctx, userID)
	if err != nil {
		return export.Contents{}, err
	}
	return export.Contents{
		Profile: s.userFromAccount(c, user), Sessions: userSessionsFromLogins(logins, c.session.ID),
		Activity: s.wholeActivity(ctx, userID), Images: s.allImages(ctx, userID), Open: s.Images.Open, At: s.Now(),
	}, nil
}

const exportPage = 100 // rows read at once

// wholeActivity lists what is kept of a user's activity page by page: it may be a request every second for months.
func (s *server) wholeActivity(ctx context.Context, userID string) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		for before, more := "", true; more; {
			var events []audit.Event
			var err error
			if events, more, err = s.Audit.List(ctx, userID, before, exportPage); err != nil {
				yield(nil, err)
				return
			}
			for _, event := range activityFromAudit(events, false).Events {
				if before = event.ID.String(); !yield(event, nil) {
					return
				}
			}
		}
	}
}

// allImages lists a user's pictures page by page, so that an export holds few of them at a time.
func (s *server) allImages(ctx context.Context, userID string) iter.Seq2[image.Image, error] {
	return func(yield func(image.Image, error) bool) {
		for before, more := "", true; more; {
			var images []image.Image
			var err error
			if images, more, err = s.Images.List(ctx, userID, image.Filter{Before: before}, exportPage); err != nil {
				yield(image.Image{}, err)
				return
			}
			for _, found := range images {
				if before = found.ID; !yield(found, nil) {
					return
				}
			}
		}
	}
}

// archive streams an export; what fails in the middle cuts it off.
type archive struct {
	ctx      context.Context
	contents export.Contents
}

func (a archive) VisitExportCurrentUserResponse(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "application/zip")
	w.Header().Set("Content-Disposition", `attachment; filename="export.zip"`)
	return export.Write(a.ctx, patient{w}, a.contents)
}
