using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.AspNetCore.Http;
using OciRegistry.Auth;
using OciRegistry.Endpoints;

namespace OciRegistry.Operations;

/// <summary>An operator's view of the robot accounts: which there are, making one, and revoking one at once.</summary>
internal sealed class RobotsView(RobotAccounts robots, AuditLog audit, TimeProvider time)
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

        var found = page.Limit == 0 ? [] : await robots.ListAsync(page.After, page.Limit, context.RequestAborted);
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
    /// 201 with its secret, which is shown this once; 409 when there is one of this name.
    /// </summary>
    public async Task Create(HttpContext context)
    {
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

        if (await robots.CreateAsync(wanted!.Name, wanted.Policy, wanted.Expires, CancellationToken.None) is not { } created)
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

    /// <summary>Revokes a robot, its secret and its tokens: 204; 404 when there is none.</summary>
    public async Task Revoke(HttpContext context)
    {
        var name = (string)context.Request.RouteValues["name"]!;
        if (await robots.RevokeAsync(name, CancellationToken.None))
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
    public PolicyOptions Policy => new()
    {
        Subjects = [Caller.RobotPrefix + Name],
        Repositories = [.. Repositories ?? []],
        Actions = [.. Actions ?? []],
    };

    public static IEnumerable<string> Problems(NewRobot? robot, DateTimeOffset now)
    {
        if (RobotAccounts.NameProblem(robot?.Name ?? "") is { } problem)
        {
            return [problem];
        }

        return robot!.Expires <= now
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
