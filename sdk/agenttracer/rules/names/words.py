"""Words: those that hold sentences together, and those that names of tools, models and agents are made of.

The second list makes random tokens out: whatever holds one of these is none. It needs no word that is shorter than four letters.
"""

from typing import Final

_SENTENCES: Final = """
a about after all also am an and any are as at because been before but by can could did do does for from had has have he her
him his how i if in into is it its just me my no not of on or our please she should so some than that the their them then
there these they this to too was we were what when where which who why will with would you your
"""
"""What no sentence does without."""
_WORK: Final = """
access account action actions activity adapt adjust admin advance after agent agents alert align analyse analysis analyst
analytics analyze annotate answer append apply approve archive around array arrival article artifact assert assess asset
assign assist assistant async attach attempt attribute audio audit auth author auto autonomous backend backup badge balance
base basic batch before begin between block board body book booking boolean bottom branch break bridge bring browse browser
buffer build builder bulk business buyer cache calculate calculator calendar call callback campaign cancel candidate capture
card cart case catalog category cell chain change channel charge chart chat check checker checkout child choose chunk city
claim class classifier classify clean clear client clone close cloud cluster code coder coding collect collection color column
combine command comment commit common company compare complete completion compose compress compute computer condition config
configure confirm connect connection consume contact container content context continue contract control convert copy core
count counter country create creator credit critic cron currency current custom customer daily dashboard data database dataset
date decide decision decode default define delay delegate delete deliver delivery demo deploy depth describe design detail
details detect detector develop device diagnose diff direct director directory disable discount discover dispatch display
distance document documents domain done draft draw drive driver drop dump duration dynamic each edit editor element email
embed embedder embedding embeddings employee empty enable encode endpoint engine engineer enrich ensure enter entity entry
environment equal error escalate estimate evaluate evaluator event events every evidence exact example exception exchange
execute executor exist exists expand expense expert explain explore export expression extend extract extractor fact factory
fail failed failure fallback family fast feature feedback fetch fetcher field file files fill filter final finance find finder
finish first flag flight flow focus folder follow force forecast format forward frame free from front full function fuse
gateway general generate generator github gitlab global goal google grade graph grep grid group guard guardrail guess guest
guide handle handler handoff hash head header health help helper hidden high history hold home host hotel hour human hybrid
ident identify image images import index info ingest initial input insert insight inspect install instance instruct
instruction intent interface interval invite invoice invoke issue item items iterate join json judge jump keep kernel keyword
kind know knowledge label lambda language large last latest launch layer layout lead leader learn left legal length level
library limit line link list listener lite live load loader local location lock login logout long lookup loop lower machine
mail main maintain make manage manager manual many mapper march mark market match math matrix maximum measure media medical
meeting member memory merge message messages metadata method metric middle migrate mini minimum mirror mobile mock mode model
moderate moderation module money monitor month more most mount move multi music name native navigate network news next node
nodes normal note notes notify number object offer office offline only open operate operation operator optimize option order
orders original other outline output overview owner package page pages paid paper parallel parameter parent parse parser part
partner parts pass passenger patch path pattern pause payment pending people perform permission person phone pick ping
pipeline place plan planner planning platform play player plugin point policy poll pool port position post prepare present
preview previous price pricing print prior priority private probe problem process processor produce product products profile
program progress project prompt property propose provider proxy public publish pull purchase push query queue quick quote
random range rank rate rating read reader ready real reason reasoner reasoning receive recent recommend record recover reduce
refer reference refine reflect reflection refresh refund register registry regular reject related release reload remind
reminder remote remove rename render reorder repeat replace reply report reporter repository request rerank reranker research
researcher reservation reserve reset resize resolve resource respond responder response rest restart restore result results
resume retail retrieval retrieve retriever retry return reverse review reviewer revise rewrite right risk role roll root round
route router rule rules runnable runner safe safety sale sales sample sandbox save scan schedule scheduler schema scope score
scrape scraper screen screenshot script scroll search searcher second section secure security seed segment select selector
semantic send sender sensor sequence server service session sessions setting setup share sheet shell shift ship shipping shop
short show side sign signal similar simple simulate single site size skill skip slack sleep slide slot small smart snapshot
social solve sort source space span speak speaker special specialist speech speed split spreadsheet sprint stack staff stage
stand standard start state static station statistics stats status step stock stop storage store story strategy stream street
string strip structure structured style subject submit subscribe summarize summarizer summary super supervisor supply support
survey swap switch symbol sync synthesize synthesizer system table tags take target task tasks team template tenant term
terminal test tester text theme thing think thinking thread ticket time timer title today toggle token tool toolkit tools
topic total trace track tracker trade traffic train transaction transcribe transfer transform transformer translate translator
transport travel traverse tree trend triage trigger trip trust turn tutor type unit universal update upload upper usage user
users utility validate validator value values variable vector vehicle vendor verify version video view viewer virtual vision
visit visual voice wait wallet warehouse watch weather website week weekly weight welcome wide widget window wire with word
work worker workflow workspace world wrap write writer year zero zone
"""
"""What tools and steps do, and with what."""
_MODELS: Final = """
adaptive airflow alibaba anthropic apache autogen azure azureopenai baichuan bedrock bloom camel celery chatgpt chroma claude
codellama codestral cohere crew crewai databricks davinci deepseek django dolphin dspy elastic ernie express falcon fastapi
fireworks flash flux gemini gemma gguf gptq granite grok groq haiku haystack hermes hugging huggingface hunyuan inception
instructor internlm jamba jina kafka kimi kotlin langchain langfuse langgraph learnlm llama llamaindex llava magistral meta
micro microsoft milvus ministral mistral mixtral moonshot mosaic nemo nemotron neural nomic nova nvidia ollama omni openai
openhermes openrouter opus orca palm perplexity phoenix pinecone pixtral postgres prefect pydantic qdrant qwen redis replicate
rocket safetensors snowflake solar sonar sonnet spark sqlite stable starcoder strands temporal titan together turbo unsloth
upstage vertex vertexai vicuna voyage weaviate whisper wizard yandex zephyr
"""
"""Models, providers, frameworks, runtimes."""
_ERRORS: Final = """
aborted abstract assertion broken cancelled certificate closed conflict constraint corrupt decoding denied deserialization
duplicate encoding exceeded exhausted expired forbidden gone illegal incomplete integrity internal interrupt interrupted
invalid lost malformed mismatch missing overflow overloaded protocol quota recursion refused rejected runtime serialization
stopped syntax timeout unauthorized unavailable unexpected unicode unknown unprocessable unreachable unsupported validation
violation
"""
"""What classes of errors are called."""

FUNCTION_WORDS: Final = frozenset(_SENTENCES.split())
KNOWN_WORDS: Final = frozenset(f"{_WORK} {_MODELS} {_ERRORS}".split())
LONGEST_WORD: Final = max(map(len, KNOWN_WORDS))
SHORTEST_WORD: Final = 4
