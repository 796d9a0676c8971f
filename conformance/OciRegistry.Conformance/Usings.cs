global using System.Text.Json.Nodes;
global using OciRegistry.Conformance.Content;
global using OciRegistry.Conformance.Http;
