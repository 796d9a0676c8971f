using System.Text.Json;
using Microsoft.AspNetCore.Http;
using OciRegistry.Endpoints;
using OciRegistry.PullThrough;

namespace OciRegistry.Operations;

/// <summary>An operator's view of the upstreams: how each is, what it has sent, and what is on its way.</summary>
internal sealed class UpstreamsView(Upstreams upstreams, PulledBlobs blobs)
{
    /// <summary>The upstreams, in the order of the settings, as this replica knows them since its start.</summary>
    public Task List(HttpContext context)
    {
        var running = blobs.Running.ToLookup(fetch => upstreams.Of(fetch.Repository));
        return context.WriteJsonAsync(StatusCodes.Status200OK, "application/json", json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("upstreams");
            foreach (var upstream in upstreams.All)
            {
                json.WriteStartObject();
                Write(json, upstream);
                json.WriteStartArray("fetching");
                foreach (var (repository, digest, arrived, length) in running[upstream])
                {
                    json.WriteStartObject();
                    json.WriteString("repository", repository.ToString());
                    json.WriteString("digest", digest.ToString());
                    json.WriteNumber("arrived", arrived);
                    Write(json, "length", length);
                    json.WriteEndObject();
                }

                json.WriteEndArray();
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    private static void Write(Utf8JsonWriter json, Upstream upstream)
    {
        var (options, health, traffic) = (upstream.Options, upstream.Client.Health, upstream.Traffic);
        json.WriteString("prefix", options.Prefix);
        json.WriteString("url", WithoutCredentials(options.Url));
        json.WriteStartArray("namespaces");
        foreach (var name in options.AllNamespaces())
        {
            json.WriteStringValue(name);
        }

        json.WriteEndArray();
        json.WriteStartObject("breaker");
        json.WriteString("state", health.State.ToString());
        if (health.Until is { } until)
        {
            json.WriteString("until", until);
        }
        else
        {
            json.WriteNull("until");
        }

        json.WriteString("problem", health.Problem);
        json.WriteStartArray("limited");
        foreach (var kind in health.Limited)
        {
            json.WriteStringValue(kind.ToString());
        }

        json.WriteEndArray();
        json.WriteEndObject();
        json.WriteBoolean("accountRefused", upstream.Client.IsAccountRefused);
        Write(json, "rateLimit", upstream.Client.RateLimit);
        Write(json, "rateLimitRemaining", upstream.Client.RateLimitRemaining);
        var (hits, misses) = (traffic.Hits, traffic.Misses);
        json.WriteNumber("hits", hits);
        json.WriteNumber("misses", misses);
        if (hits + misses > 0)
        {
            json.WriteNumber("hitRatio", Math.Round((double)hits / (hits + misses), 4));
        }
        else
        {
            json.WriteNull("hitRatio");
        }

        json.WriteNumber("staleServed", traffic.Stale);
        json.WriteNumber("bytesReceived", traffic.Received);
        json.WriteNumber("bytesSaved", traffic.Saved);
        Write(json, "bytesKept", traffic.KeptBytes);
    }

    private static void Write(Utf8JsonWriter json, string name, long? value)
    {
        if (value is { } known)
        {
            json.WriteNumber(name, known);
        }
        else
        {
            json.WriteNull(name);
        }
    }

    // The settings take no user info in an address; this does not rely on it.
    private static string WithoutCredentials(string url) =>
        new Uri(url).GetComponents(UriComponents.SchemeAndServer | UriComponents.Path, UriFormat.UriEscaped);
}
