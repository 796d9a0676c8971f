using Microsoft.AspNetCore.Http;
using OciRegistry.Auth;
using OciRegistry.Endpoints;

namespace OciRegistry.Operations;

/// <summary>
/// The policies: which rule decides. Who administers some repositories asks about those, and is told of no rule for others.
/// </summary>
internal sealed class PoliciesView(PolicyExplanation explanation, AccessControl access, Refusals refusals)
{
    /// <summary><c>GET /admin/explain?subject=user:alice&amp;repository=team-a/app&amp;action=push</c>, with <c>group</c> as often as wanted.</summary>
    public async Task Explain(HttpContext context)
    {
        var query = context.Request.Query;
        var area = access.AreaOf(context);
        if (!area.IsEverything && RepositoryName.TryParse(query["repository"].ToString(), out var repository) && !area.Has(repository))
        {
            await refusals.DenyAsync(context, Refusals.AdminAction, repository.ToString(), OciError.Denied(
                "You do not administer this repository. Ask about one that you administer, or ask the registry's operator."));
            return;
        }

        var result = await explanation.OfAsync(
            query["subject"].ToString(),
            [.. query["group"].OfType<string>()],
            query["repository"].ToString(),
            query["action"].ToString(),
            isOfRepository: !area.IsEverything,
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
