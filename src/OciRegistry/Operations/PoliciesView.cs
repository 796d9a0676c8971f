using Microsoft.AspNetCore.Http;
using OciRegistry.Auth;
using OciRegistry.Endpoints;

namespace OciRegistry.Operations;

/// <summary>An operator's view of the policies: which rule decides.</summary>
internal sealed class PoliciesView(PolicyExplanation explanation)
{
    /// <summary><c>GET /admin/explain?subject=user:alice&amp;repository=team-a/app&amp;action=push</c>, with <c>group</c> as often as wanted.</summary>
    public async Task Explain(HttpContext context)
    {
        var query = context.Request.Query;
        var result = await explanation.OfAsync(
            query["subject"].ToString(),
            [.. query["group"].OfType<string>()],
            query["repository"].ToString(),
            query["action"].ToString(),
            context.RequestAborted);
        if (result.Problem is { } problem)
        {
            await context.WriteErrorAsync(OciError.Unsupported(problem));
            return;
        }

        await context.WriteJsonAsync(StatusCodes.Status200OK, "application/json", json =>
        {
            json.WriteStartObject();
            json.WriteBoolean("allowed", result.Explanation!.IsAllowed);
            json.WriteString("reason", result.Explanation.Reason);
            json.WriteEndObject();
        });
    }
}
