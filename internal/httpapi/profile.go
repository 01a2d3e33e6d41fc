package httpapi

import (
	"context"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"
	openapi_types "github.com/oapi-codegen/runtime/types"

	"gatehouse/internal/account"
	"gatehouse/internal/api"
	"gatehouse/internal/audit"
)

// changesFromAPI also finds out whether the avatar is a picture of the user's own.
func (s *server) changesFromAPI(ctx context.Context, in api.UserChanges) (account.Changes, error) {
	changes := account.Changes{
		Nickname: changeFromNullable(in.Nickname, func(v string) string { return v }),
		Birthday: changeFromNullable(in.Birthday, openapi_types.Date.String),
		Gender:   changeFromNullable(in.Gender, func(v api.UserChangesGender) string { return string(v) }),
		Bio:      changeFromNullable(in.Bio, func(v string) string { return v }),
		Metadata: changeFromNullable(in.Metadata, func(v map[string]any) map[string]any { return v }),
	}
	changes.Avatar.Set = in.AvatarID.IsSpecified()
	if id, err := in.AvatarID.Get(); err == nil {
		picture, err := s.Images.Get(ctx, callFrom(ctx).session.UserID, id.String())
		if err != nil {
			return account.Changes{}, err
		}
		changes.Avatar.Value = &account.Avatar{ID: picture.ID, Name: picture.Name}
	}
	return changes, nil
}

func changeFromNullable[A, B any](in nullable.Nullable[A], convert func(A) B) account.Change[B] {
	change := account.Change[B]{Set: in.IsSpecified()}
	if v, err := in.Get(); err == nil {
		change.Value = new(convert(v))
	}
	return change
}

func confirmationFromAPI(in api.Confirmation) account.Confirmation {
	return account.Confirmation{Password: value(in.Password), Code: value(in.Code)}
}

func activityFromAudit(events []audit.Event, more bool) api.Activity {
	activity := api.Activity{Events: make([]api.ActivityEvent, len(events))}
	for i, event := range events {
		activity.Events[i] = api.ActivityEvent{
			ID: uuid.MustParse(event.ID), Action: api.ActivityEventAction(event.Action), Actor: api.ActivityEventActor(event.Origin.Actor),
			Address: event.Origin.Address, Device: event.Origin.Device, At: event.At,
		}
	}
	if more {
		activity.Next = new(uuid.MustParse(events[len(events)-1].ID))
	}
	return activity
}
