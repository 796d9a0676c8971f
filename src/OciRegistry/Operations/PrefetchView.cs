using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.AspNetCore.Http;
using OciRegistry.Endpoints;
using OciRegistry.PullThrough;

namespace OciRegistry.Operations;

/// <summary>An operator has images fetched before anybody asks for them, and sees how it goes.</summary>
internal sealed class PrefetchView(Prefetch prefetch)
{
    internal const int MaxReferences = 1_000;
    internal const int MaxBody = 256 * 1024;
    private const int MaxNamed = 10;

    /// <summary>
    /// Fetches <c>{"references": ["hub/library/alpine:3"]}</c>. 200, and a line of JSON for each step as it happens, for each
    /// reference at its end, and for all of them at last. It ends when the client leaves, and leaves what is here by then.
    /// </summary>
    public async Task Start(HttpContext context)
    {
        var (isRead, wanted) = await RequestBody.ReadJsonAsync(
            context, NewPrefetchJson.Default.NewPrefetch, MaxBody, "The references are not in JSON that can be read");
        if (!isRead)
        {
            return;
        }

        var references = wanted?.References ?? [];
        if (Problem(references) is { } problem)
        {
            await context.WriteErrorAsync(OciError.Unsupported(problem));
            return;
        }

        var totals = new PrefetchTotals();
        await context.StartJsonLinesAsync();
        await foreach (var news in prefetch.RunAsync(references, context.RequestAborted))
        {
            totals.Add(news);
            await context.WriteJsonLineAsync(json => Write(json, news));
        }

        await context.WriteJsonLineAsync(json =>
        {
            json.WriteNumber("fetched", totals.Fetched);
            json.WriteNumber("failed", totals.Failed);
            json.WriteNumber("bytes", totals.Bytes);
        });
    }

    private string? Problem(IReadOnlyList<string> references)
    {
        if (references.Count is 0 or > MaxReferences)
        {
            return $"There are {references.Count} references. Name 1 to {MaxReferences}.";
        }

        var wrong = references.Where(reference => reference is null || !prefetch.Names(reference)).ToList();
        var more = wrong.Count > MaxNamed ? $" and {wrong.Count - MaxNamed} more" : "";
        return wrong.Count == 0 ? null
            : $"No upstream has '{string.Join("', '", wrong.Take(MaxNamed))}'{more}. {Prefetch.Form}";
    }

    private static void Write(Utf8JsonWriter json, PrefetchNews news)
    {
        json.WriteString("reference", news.Reference);
        if (news.Step is { } step)
        {
            json.WriteString("digest", step.Digest.ToString());
            json.WriteNumber("bytes", step.Size);
        }
        else if (news.Problem is { } problem)
        {
            json.WriteString("error", problem);
        }
        else
        {
            json.WriteBoolean("done", true);
        }
    }
}

/// <summary>What is to be fetched.</summary>
internal sealed record NewPrefetch(IReadOnlyList<string>? References);

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    AllowDuplicateProperties = false,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow)]
[JsonSerializable(typeof(NewPrefetch))]
internal sealed partial class NewPrefetchJson : JsonSerializerContext;
