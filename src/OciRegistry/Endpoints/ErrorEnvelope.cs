using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;

namespace OciRegistry.Endpoints;

/// <summary>
/// The body of every error (spec.md#error-codes): <c>errors</c> and nothing else, because there are clients that take no other
/// member there (Jib). The id under which the log has the request is in the detail of each.
/// </summary>
internal static class ErrorEnvelope
{
    public static Task WriteErrorAsync(this HttpContext context, OciError error) => context.WriteErrorsAsync([error]);

    /// <summary>The status is the first error's.</summary>
    public static Task WriteErrorsAsync(this HttpContext context, IReadOnlyList<OciError> errors)
    {
        if (context.Response.Headers.CacheControl == EntityTags.Immutable)
        {
            context.Response.Headers.CacheControl = default; // of the content that it was going to be
        }

        return context.WriteJsonAsync(errors[0].Status, "application/json", json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("errors");
            foreach (var error in errors)
            {
                json.WriteStartObject();
                json.WriteString("code", error.Code);
                json.WriteString("message", error.Message);
                json.WriteStartObject("detail");
                foreach (var (name, value) in error.Detail ?? [])
                {
                    json.WritePropertyName(name);
                    (value ?? JsonValue.Create("")).WriteTo(json);
                }

                json.WriteString("requestId", context.TraceIdentifier);
                json.WriteEndObject();
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        });
    }
}
