using System.Globalization;
using Microsoft.AspNetCore.Http;
using OciRegistry.PullThrough;

namespace OciRegistry.Endpoints;

/// <summary>What is particular to answers about content of an upstream.</summary>
internal static class PulledAnswers
{
    /// <summary>The error that there is instead, with when to ask again.</summary>
    public static Task WriteProblemAsync<T>(this HttpContext context, Pulled<T> pulled)
        where T : class
    {
        if (pulled.RetryAfter is { } wait)
        {
            context.Response.Headers.RetryAfter = Seconds(wait);
        }

        return context.WriteErrorAsync(pulled.Error!);
    }

    /// <summary>
    /// Says that the answer may be old: the upstream does not answer. spec.md#warnings: code 299 and agent <c>-</c>, nothing else.
    /// </summary>
    public static void SayOld(this HttpContext context, TimeSpan? age)
    {
        context.Response.Headers.Warning = "299 - \"Response is stale: the upstream does not answer\"";
        if (age is { } known)
        {
            context.Response.Headers.Age = Seconds(known);
        }
    }

    private static string Seconds(TimeSpan time) =>
        Math.Clamp((long)Math.Ceiling(time.TotalSeconds), 1, int.MaxValue).ToString(CultureInfo.InvariantCulture);
}
