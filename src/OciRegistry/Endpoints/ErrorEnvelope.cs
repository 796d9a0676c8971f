using Microsoft.AspNetCore.Http;

namespace OciRegistry.Endpoints;

/// <summary>The body of every error (spec.md#error-codes), with the id under which the log has the request.</summary>
internal static class ErrorEnvelope
{
    public static Task WriteErrorAsync(this HttpContext context, OciError error) => context.WriteErrorsAsync([error]);

    /// <summary>The status is the first error's.</summary>
    public static Task WriteErrorsAsync(this HttpContext context, IReadOnlyList<OciError> errors) =>
        context.WriteJsonAsync(errors[0].Status, "application/json", json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("errors");
            foreach (var error in errors)
            {
                json.WriteStartObject();
                json.WriteString("code", error.Code);
                json.WriteString("message", error.Message);
                if (error.Detail is { } detail)
                {
                    json.WritePropertyName("detail");
                    detail.WriteTo(json);
                }

                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteString("requestId", context.TraceIdentifier);
            json.WriteEndObject();
        });
}
