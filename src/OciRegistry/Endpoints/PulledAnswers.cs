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

    /// <summary>Says that the answer may be old: the upstream does not answer (RFC 9111 §5.1; Warning was in RFC 7234 §5.5).</summary>
    public static void SayOld(this HttpContext context, TimeSpan? age)
    {
        context.Response.Headers.Warning = "110 - \"Response is Stale\"";
        if (age is { } known)
        {
            context.Response.Headers.Age = Seconds(known);
        }
    }

    private static string Seconds(TimeSpan time) =>
        Math.Clamp((long)Math.Ceiling(time.TotalSeconds), 1, int.MaxValue).ToString(CultureInfo.InvariantCulture);
}
