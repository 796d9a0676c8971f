using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Options;
using OciRegistry.Auth;
using OciRegistry.Endpoints;

namespace OciRegistry.Operations;

/// <summary>
/// The robot accounts: which there are, making one, and revoking one at once. Who administers some repositories makes, sees
/// and revokes robots for them, with actions that the caller has there; the others do not exist for that caller.
/// </summary>
internal sealed class RobotsView(
    RobotAccounts robots,
    AccessControl access,
    Refusals refusals,
    AuditLog audit,
    IOptions<OciRegistryOptions> options,
    TimeProvider time)
{
    private const int MaxPageSize = 1_000;
    private const int MaxBody = 64 * 1024;

    /// <summary>The robots, in the order of their names, a page at a time; no secret is kept that could be shown.</summary>
    public async Task List(HttpContext context)
    {
        if (!Pagination.TryRead(context.Request, MaxPageSize, out var page))
        {
            await context.WriteErrorAsync(Pagination.Invalid());
            return;
        }

        var area = access.AreaOf(context);
        var found = await robots.ListAsync(
            page.After, page.Limit, robot => area.Administers(robot.Name, robot.Rule, robot.CreatedBy), context.RequestAborted);
        if (found.Count == page.Limit && found.Count > 0)
        {
            page.LinkNext(context, found[^1].Name);
        }

        await context.WriteJsonAsync(StatusCodes.Status200OK, "application/json", json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("robots");
            foreach (var robot in found)
            {
                json.WriteStartObject();
                Write(json, robot);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    /// <summary>
    /// Makes a robot: <c>{"name": "ci", "repositories": ["team-a/**"], "actions": ["pull", "push"], "expires": "2027-01-01T00:00:00Z"}</c>.
    /// 201 with its secret, which is shown this once; 400 where robots cannot log in; 403 for one with more rights than the
    /// caller administers, or a longer life than the robot that makes it; 409 when there is one of this name, anybody's.
    /// </summary>
    public async Task Create(HttpContext context)
    {
        if (!options.Value.Auth.Robots)
        {
            await context.WriteErrorAsync(OciError.Unsupported(
                "Robots cannot log in to this registry, so none is made. Set OciRegistry:Auth:Robots=true, and start it again."));
            return;
        }

        var (isRead, wanted) = await RequestBody.ReadJsonAsync(
            context, NewRobotJson.Default.NewRobot, MaxBody, "The robot is not described by JSON that can be read");
        if (!isRead)
        {
            return;
        }

        var problems = NewRobot.Problems(wanted, time.GetUtcNow()).ToList();
        if (problems.Count > 0)
        {
            await context.WriteErrorAsync(OciError.Unsupported(string.Join(" ", problems)));
            return;
        }

        var area = access.AreaOf(context);
        var denial = !area.MayMake(wanted!.Name, wanted.Rule)
                ? "You may make robots for the repositories that you administer, with actions that you have there yourself. This "
                    + "one would have more, or its name has more by a policy. Ask for less, or ask the registry's operator."
            : area.Outlives(wanted.Expires)
                ? "A robot makes none that lives longer than itself. Set 'expires' to a time before it ends."
            : null;
        if (denial is not null)
        {
            await refusals.DenyAsync(
                context, Refusals.AdminAction, Caller.RobotPrefix + wanted.Name, OciError.Denied(denial));
            return;
        }

        var maker = context.Granted().Caller.Subject;
        if (await robots.CreateAsync(wanted.Name, wanted.Policy, wanted.Expires, maker, CancellationToken.None) is not { } created)
        {
            await context.WriteErrorAsync(OciError.Unsupported(
                $"There is a robot '{wanted.Name}' already. Revoke it first, or call this one otherwise.",
                StatusCodes.Status409Conflict));
            return;
        }

        audit.RobotChanged(context, created.Robot.Name, "created");
        context.Response.Headers.CacheControl = "no-store";
        await context.WriteJsonAsync(StatusCodes.Status201Created, "application/json", json =>
        {
            json.WriteStartObject();
            Write(json, created.Robot);
            json.WriteString("secret", created.Secret);
            json.WriteEndObject();
        });
    }

    /// <summary>Revokes a robot, its secret and its tokens: 204; 404 when there is none that the caller administers.</summary>
    public async Task Revoke(HttpContext context)
    {
        var name = (string)context.Request.RouteValues["name"]!;
        var area = access.AreaOf(context);
        if (await (area.IsEverything
            ? robots.RevokeAsync(name, CancellationToken.None)
            : robots.RevokeAsync(name, robot => area.Administers(robot.Name, robot.Rule, robot.CreatedBy), CancellationToken.None)))
        {
            audit.RobotChanged(context, name, "revoked");
            context.Response.StatusCode = StatusCodes.Status204NoContent;
        }
        else
        {
            await context.WriteErrorAsync(OciError.Unsupported("There is no such robot.", StatusCodes.Status404NotFound));
        }
    }

    private void Write(Utf8JsonWriter json, Robot robot)
    {
        json.WriteString("name", robot.Name);
        json.WriteString("login", RobotAccounts.LoginPrefix + robot.Name);
        json.WriteString("subject", robot.Subject);
        WriteTexts(json, "repositories", robot.Repositories);
        WriteTexts(json, "actions", robot.Actions);
        json.WriteString("created", robot.Created);
        if (robot.CreatedBy is { } maker)
        {
            json.WriteString("createdBy", maker);
        }

        if (robot.Expires is { } expires)
        {
            json.WriteString("expires", expires);
            json.WriteBoolean("expired", robot.HasExpired(time.GetUtcNow()));
        }
    }

    private static void WriteTexts(Utf8JsonWriter json, string name, IEnumerable<string> texts)
    {
        json.WriteStartArray(name);
        foreach (var text in texts)
        {
            json.WriteStringValue(text);
        }

        json.WriteEndArray();
    }
}

/// <summary>What a robot account is to be.</summary>
internal sealed record NewRobot(
    string Name, IReadOnlyList<string> Repositories, IReadOnlyList<string> Actions, DateTimeOffset? Expires = null)
{
    // Each is made ready to be matched with each request of the robot, which takes some 40 KiB.
    private const int MaxPatterns = 64;

    public PolicyOptions Policy => new()
    {
        Subjects = [Caller.RobotPrefix + Name],
        Repositories = [.. Repositories ?? []],
        Actions = [.. Actions ?? []],
    };

    public PolicyRule Rule => new(Name, Policy, new Dictionary<string, IReadOnlyList<string>>());

    public static IEnumerable<string> Problems(NewRobot? robot, DateTimeOffset now)
    {
        if (RobotAccounts.NameProblem(robot?.Name ?? "") is { } problem)
        {
            return [problem];
        }

        if (robot!.Repositories?.Count > MaxPatterns)
        {
            return [$"A robot has at most {MaxPatterns} patterns of repositories. Make several robots, or use a pattern with '**'."];
        }

        return robot.Expires <= now
            ? robot.Policy.Problems().Append("It would have expired already. Set a later time.")
            : robot.Policy.Problems();
    }
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    AllowDuplicateProperties = false,
    IgnoreReadOnlyProperties = true,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow)]
[JsonSerializable(typeof(NewRobot))]
internal sealed partial class NewRobotJson : JsonSerializerContext;
